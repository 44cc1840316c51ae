/* The 8-bit weight quantizers on numbers whose roundings are known. */
#include "base/half.h"
#include "base/mem.h"
#include "quant/weights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint16_t half(float x) { return qm_f16_f32(x); }

/* With scale 1 the half is the ratio; a ratio that is no half itself needs another scale. */
static void test_codes_half(void **state)
{
    (void)state;
    static const struct {
        float ratio;
        int8_t code;
    } cases[] = {
        {0.5f,     0   },
        {1.5f,     2   },
        {2.5f,     2   },
        {-0.5f,    0   },
        {-1.5f,    -2  },
        {127.0f,   127 },
        {127.5f,   127 },
        {200.0f,   127 },
        {-128.0f,  -128},
        {-128.5f,  -128},
        {-300.0f,  -128},
        {100.5f,   100 },
        {101.5f,   102 },
        {65504.0f, 127 },
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        uint16_t w = half(cases[i].ratio);
        int8_t q = 0;
        qm_weight_codes_f16(&q, &w, 1, 1.0f);
        if (q != cases[i].code) fail_msg("%g: %d", (double)cases[i].ratio, q);
    }
}

/* 101.47 becomes 101.5 in half and then 102, 100.53 becomes 100.5 and then 100; float would say 101
 * twice.  Halves w and s with such ratios are searched for. */
static void test_double_rounding(void **state)
{
    (void)state;
    static const struct {
        float ratio;
        int8_t code;
    } cases[] = {
        {101.47f, 102},
        {100.53f, 100}
    };
    for (size_t i = 0; i < QM_COUNT(cases); i++) {
        bool found = false;
        for (uint16_t s = 0x3c00; s < 0x4000 && !found; s++) {
            float scale = qm_f32_f16(s);
            uint16_t w = half(cases[i].ratio * scale);
            float ratio = qm_f32_f16(w) / scale;
            if (ratio < cases[i].ratio - 0.001f || ratio > cases[i].ratio + 0.001f) continue;
            int8_t q = 0;
            qm_weight_codes_f16(&q, &w, 1, scale);
            assert_int_equal(q, cases[i].code);
            assert_int_equal((int)(ratio + 0.5f), 101);
            found = true;
        }
        assert_true(found);
    }
}

static void test_scale_half(void **state)
{
    (void)state;
    const uint16_t w[5] = {half(0.5f), half(-3.0f), half(2.0f), 0, half(-0.0f)};
    assert_true(qm_absmax_f16(w, 5) == 3.0f);
    assert_true(qm_absmax_f16(w, 0) == 0.0f);
    assert_true(qm_weight_scale_f16(3.0f) == qm_round_f16(3.0f * (1.0f / 127.0f)));
    assert_true(qm_weight_scale_f16(0.0f) == 0x1p-24f); /* fl16(1e-5) / 127 is 1.33 of them */
    int8_t q[5];
    qm_weight_codes_f16(q, w, 5, qm_weight_scale_f16(3.0f));
    assert_int_equal(q[1], -127);
    assert_int_equal(q[3], 0);
}

static void test_float(void **state)
{
    (void)state;
    const float w[4] = {-1.27f, 0.635f, 0.0f, 0.999f};
    int8_t q[4];
    float scale = qm_quantize_weight_f32(q, w, 4);
    assert_true(scale == 1.27f * (1.0f / 127.0f));
    assert_int_equal(q[0], -127);
    assert_int_equal(q[2], 0);
    assert_int_equal(q[3], 100);
    const float zeros[3] = {0};
    assert_true(qm_quantize_weight_f32(q, zeros, 3) == 1e-5f * (1.0f / 127.0f));
    assert_int_equal(q[0] | q[1] | q[2], 0);
}

/* By the signed maximum: a larger negative element saturates. */
static void test_embedding(void **state)
{
    (void)state;
    const uint16_t row[4] = {half(1.0f), half(-4.0f), half(-1.0f), half(0.5f)};
    int8_t q[4];
    uint16_t scale = qm_quantize_embedding_row(q, row, 4);
    assert_int_equal(scale, half(1.0f / 127.0f));
    assert_int_equal(q[0], 127);
    assert_int_equal(q[1], -128);
    assert_int_equal(q[2], -127);
    /* no element above 0: the largest magnitude */
    const uint16_t negative[2] = {half(-2.0f), half(-1.0f)};
    scale = qm_quantize_embedding_row(q, negative, 2);
    assert_int_equal(scale, half(2.0f * (1.0f / 127.0f)));
    assert_int_equal(q[0], -127);
    const uint16_t zeros[2] = {0, 0x8000};
    scale = qm_quantize_embedding_row(q, zeros, 2);
    assert_int_equal(scale, 1); /* the smallest half: positive */
    assert_int_equal(q[0] | q[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_half), cmocka_unit_test(test_double_rounding),
        cmocka_unit_test(test_scale_half), cmocka_unit_test(test_float),
        cmocka_unit_test(test_embedding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
