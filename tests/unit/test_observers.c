/* Observers: equal to a plain sort, and upstream's roundings. */
#include "quant/observers.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Section 3.5 of the specification, word by word. */
static float sorted_quantile(const float *x, size_t n, float alpha)
{
    float *v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = fabsf(x[i]);
    qsort(v, n, sizeof *v, compare);
    float rank = alpha * (float)(n - 1), low = floorf(rank), w = rank - low;
    float a = v[(size_t)low], b = v[(size_t)ceilf(rank)];
    free(v);
    return w < 0.5f ? a + w * (b - a) : b - (b - a) * (1.0f - w);
}

static float random_half(uint64_t *state, int kind)
{
    uint64_t r = qm_splitmix64(state);
    uint16_t bits = (uint16_t)(r & 0xffffu);
    if (kind == 1) bits = (uint16_t)(bits & 0x83ffu);             /* subnormal */
    if (kind == 2) bits = (uint16_t)(0x3c00u | (bits & 0x8003u)); /* many equal ones */
    if ((bits & 0x7c00u) == 0x7c00u) bits = (uint16_t)(bits & 0xbbffu);
    return qm_f32_f16(bits);
}

static void test_quantile_is_that_of_a_sort(void **state)
{
    (void)state;
    static const float alphas[] = {1.0f, 0.99999f, 0.9999f, 0.9995f, 0.5f, 0.123f, 1e-6f};
    static const size_t sizes[] = {1, 2, 3, 17, 1000, 20011, 100000};
    static qm_magnitudes m;
    static float x[100000];
    uint64_t seed = 7;
    for (int kind = 0; kind < 3; kind++)
        for (size_t s = 0; s < QM_COUNT(sizes); s++) {
            size_t n = sizes[s], half = n / 2;
            for (size_t i = 0; i < n; i++)
                x[i] = random_half(&seed, kind);
            qm_magnitudes_clear(&m);
            qm_magnitudes_add(&m, x, half);
            qm_magnitudes_add(&m, x + half, n - half);
            for (size_t k = 0; k < QM_COUNT(alphas); k++) {
                float want = sorted_quantile(x, n, alphas[k]);
                float got = qm_magnitudes_quantile(&m, alphas[k]);
                if (qm_bits_f32(want) != qm_bits_f32(got))
                    fail_msg("kind %d, n %zu, alpha %g: want %a, got %a", kind, n,
                             (double)alphas[k], (double)want, (double)got);
            }
            float want = 0;
            for (size_t i = 0; i < n; i++)
                want = fmaxf(want, fabsf(x[i]));
            assert_true(qm_absmax_f32(qm_absmax_f32(0, x, half), x + half, n - half) == want);
            assert_true(qm_magnitudes_quantile(&m, 1.0f) == want);
        }
}

/* Every half has a bin of its own. */
static void test_every_half(void **state)
{
    (void)state;
    static qm_magnitudes m;
    for (uint32_t bits = 0; bits < 0x7c00u; bits++) {
        float x = -qm_f32_f16((uint16_t)bits);
        qm_magnitudes_add(&m, &x, 1);
    }
    for (uint32_t bits = 0; bits < 0x7c00u; bits++) {
        float alpha = (float)bits / (float)(0x7c00u - 1), rank = alpha * (float)(0x7c00u - 1);
        if (rank != (float)bits) continue;
        assert_true(qm_magnitudes_quantile(&m, alpha) == qm_f32_f16((uint16_t)bits));
    }
}

/* Around the middle between two values, and with a rank that is coarser than the list is long. */
static void test_interpolation(void **state)
{
    (void)state;
    static qm_magnitudes m;
    qm_magnitudes_clear(&m);
    for (int i = 0; i <= 10; i++)
        qm_magnitudes_add(&m, &(float){(float)(i * i)}, 1);
    assert_true(qm_magnitudes_quantile(&m, 0.75f) == 64.0f - 15.0f * 0.5f);
    assert_true(qm_magnitudes_quantile(&m, 0.625f) == 36.0f + 13.0f * 0.25f);
    qm_magnitudes_clear(&m);
    qm_magnitudes_add(&m, &(float){1.0f}, 1);
    qm_magnitudes_add(&m, &(float){2.0f}, 1);
    m.counts[0] += 1u << 25; /* zeros: the last rank, 2^25 + 1, is 2^25 as a float */
    m.n += 1u << 25;
    assert_true(qm_magnitudes_quantile(&m, 1.0f) == 1.0f);
    m.counts[0] += 2; /* 2^25 + 3 becomes 2^25 + 4, beyond the last */
    m.n += 2;
    assert_true(qm_magnitudes_quantile(&m, 1.0f) == 2.0f);
}

static void test_not_finite(void **state)
{
    (void)state;
    static qm_magnitudes m;
    const float bad[] = {1.0f, -INFINITY, NAN, -2.0f};
    for (size_t i = 1; i < 3; i++) {
        float x[] = {bad[0], bad[i], bad[3]};
        qm_magnitudes_clear(&m);
        qm_magnitudes_add(&m, x, 3);
        assert_true(isinf(qm_magnitudes_quantile(&m, 1.0f)));
        assert_true(qm_magnitudes_quantile(&m, 0.5f) == 2.0f);
        assert_true(isinf(qm_absmax_f32(0, x, 3)));
        assert_true(isinf(qm_absmax_f32(qm_absmax_f32(0, x, 3), bad, 1)));
    }
}

static void test_scales(void **state)
{
    (void)state;
    /* 1e-5 in half is 168 * 2^-24; a 127th of it, 1.32 * 2^-24, is 2^-24, below 1e-6 */
    assert_true(qm_scale_of_absmax(0.0f) == 1e-6f);
    assert_true(qm_scale_of_quantile(0.0f) == 1e-6f);
    assert_true(qm_scale_of_absmax(127.0f) == qm_round_f16(127.0f * (1.0f / 127.0f)));
    /* the rounding to half is real: scales recorded from upstream are halves */
    float s = qm_scale_of_absmax(5.0117188f);
    assert_true(s == qm_round_f16(s) && s == 0.039459228515625f);
    assert_true(qm_scale_of_quantile(5.0117188f) != s);
    /* float, in this order */
    float average = qm_moving_average(0.0f, 2.0f, true);
    assert_true(average == 2.0f);
    average = qm_moving_average(average, 3.0f, false);
    assert_true(average == 2.0f + 0.01f * 1.0f);
    assert_true(qm_moving_average(average, 0.0f, false) == average + 0.01f * (0.0f - average));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile_is_that_of_a_sort),
        cmocka_unit_test(test_every_half),
        cmocka_unit_test(test_interpolation),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
