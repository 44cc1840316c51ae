/* The operators as a testbench calls them, on bit patterns, against the scalar kernels. */
#include "base/file.h"
#include "base/fmath.h"
#include "base/mem.h"
#include "dpi/quamba_dpi.h"
#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 20000 };

/* Any bits there are: NaNs, infinities and subnormals among them, but mostly numbers near 1. */
static uint32_t bits_at(uint32_t i)
{
    uint32_t x = i * 2654435761u;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    x ^= x >> 16;
    return i % 4 == 0 ? x : (x & 0x83ffffffu) + 0x3d800000u;
}

static void same(uint32_t got, float want)
{
    const float number = qm_f32_bits(got);
    if (want != want && number != number) return;
    assert_int_equal(got, qm_bits_f32(want));
}

static void test_numbers(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t a = bits_at(3 * i), b = bits_at(3 * i + 1), c = bits_at(3 * i + 2);
        const float x = qm_f32_bits(a), y = qm_f32_bits(b), z = qm_f32_bits(c);
        float v = x;
        same(qm_dpi_add(a, b), x + y);
        same(qm_dpi_mul(a, b), x * y);
        same(qm_dpi_div(a, b), x / y);
        same(qm_dpi_from_half(qm_dpi_to_half(a)), qm_round_f16(x));
        qm_silu_f32_scalar(&v, 1);
        same(qm_dpi_silu(a), v);
        v = x;
        qm_softplus_f32_scalar(&v, NULL, 1);
        same(qm_dpi_softplus(a), v);
        v = x;
        qm_softplus_log_f32_scalar(&v, NULL, 1);
        same(qm_dpi_softplus_log(a), v);
        v = 1.0f;
        qm_gate_sigmoid_f32_scalar(&v, &x, 1);
        if (!(x > 1e38f) && !(x < -1e38f)) same(qm_dpi_mul(a, qm_dpi_sigmoid(a)), v);
        same(qm_dpi_exp(qm_dpi_add(a, b ^ 0x80000000u)), qm_sum_exp_f32_scalar(&x, y, 1));
        qm_gate_f32_fn *const gates[] = {qm_gate_f32_scalar, qm_gate_ref_f32_scalar,
                                         qm_gate_sigmoid_f32_scalar};
        for (int kind = 0; kind < 3; kind++) {
            v = y;
            gates[kind](&v, &x, 1);
            same(qm_dpi_gate(kind, b, a), v);
        }
        const float dot[] = {z};
        same(qm_dpi_fma(c, c, 0), qm_dot_f32_scalar(dot, dot, 1));
        qm_rms_norm_f32_scalar(&v, &x, &y, 0.25f, 1);
        same(qm_dpi_rms_scale(
                 a, qm_dpi_rms_factor(qm_dpi_mul(a, a), 0x3f800000u, qm_bits_f32(0.25f)), b),
             v);
        same(qm_dpi_residual(a, b), x + y);
        float pair[] = {x, y};
        unsigned int first = a, second = b;
        qm_hadamard_f32_scalar(pair, NULL, NULL, 1, 2, 1.0f);
        qm_dpi_butterfly(&first, &second);
        same(first, pair[0]);
        same(second, pair[1]);
    }
}

static void test_codes(void **unused)
{
    (void)unused;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t a = bits_at(i) + (i % 3 == 0 ? 0x3000000u : 0), scale = bits_at(i + N);
        const float x = qm_f32_bits(a), s = qm_f32_bits(scale), bias = qm_f32_bits(bits_at(i + 5));
        const int32_t acc = (int32_t)(bits_at(i) >> 12);
        const int8_t code = (int8_t)bits_at(i);
        int8_t q;
        unsigned char lost = 2;
        float y;
        size_t n = qm_quantize_away_i8_scalar(&q, &x, s, 1);
        assert_int_equal(qm_dpi_quantize(a, scale, 1, &lost), q);
        assert_int_equal(lost, n);
        n = qm_quantize_even_i8_scalar(&q, &x, s, 1);
        assert_int_equal(qm_dpi_quantize(a, scale, 0, &lost), q);
        assert_int_equal(lost, n);
        n = qm_requantize_i8_scalar(&q, &acc, s, x, 1);
        assert_int_equal(qm_dpi_requantize(acc, scale, a, &lost), q);
        assert_int_equal(lost, n);
        qm_rescale_f16_scalar(&y, &acc, s, x, 1);
        same(qm_dpi_rescale_half(acc, scale, a), y);
        qm_dequantize_i8_scalar(&y, &code, s, 1);
        same(qm_dpi_dequantize(scale, code), y);
        qm_affine_i8_scalar(&y, &code, s, &bias, 1);
        same(qm_dpi_affine(scale, code, bits_at(i + 5)), y);
        const int8_t *tap = &code;
        const float zero = 0.0f;
        qm_conv_i8_scalar(&y, &tap, &q, 1, 1.0f, &zero, 1, 1);
        same(qm_dpi_from_int(qm_dpi_mac(0, q, code)), y);
    }
}

static void test_scans(void **unused)
{
    (void)unused;
    qm_scan_f32_fn *const scans[] = {qm_scan_f32_scalar, qm_scan_ref_f32_scalar,
                                     qm_scan_se_f32_scalar, qm_scan_mamba_f32_scalar};
    enum { STATES = 4 };
    for (uint32_t i = 0; i < 2000; i++)
        for (int kind = 0; kind < 4; kind++) {
            float h[STATES], a[STATES], b[STATES], c[STATES], y;
            const uint32_t u = bits_at(i), delta = bits_at(i + 1) & 0x7fffffffu, d = bits_at(i + 2);
            const float numbers[] = {qm_f32_bits(u), qm_f32_bits(delta), qm_f32_bits(d)};
            unsigned int state[STATES];
            for (uint32_t s = 0; s < STATES; s++) {
                state[s] = bits_at(i + 7 * s);
                h[s] = qm_f32_bits(state[s]);
                a[s] = -qm_f32_bits(bits_at(i + 7 * s + 1) & 0x7fffffffu);
                b[s] = qm_f32_bits(bits_at(i + 7 * s + 2));
                c[s] = qm_f32_bits(bits_at(i + 7 * s + 3));
            }
            uint32_t out = qm_dpi_scan_begin(kind, d, u);
            for (uint32_t s = 0; s < STATES; s++)
                out = qm_dpi_scan_step(kind, out, &state[s], u, delta, qm_bits_f32(a[s]),
                                       qm_bits_f32(b[s]), qm_bits_f32(c[s]));
            out = qm_dpi_scan_end(kind, out, d, u);
            scans[kind](&(qm_scan_f32_args){.y = &y,
                                            .h = h,
                                            .u = &numbers[0],
                                            .delta = &numbers[1],
                                            .a = a,
                                            .b = b,
                                            .c = c,
                                            .d = &numbers[2],
                                            .ld_y = 1,
                                            .ld_u = 1,
                                            .ld_delta = 1,
                                            .ld_bc = STATES,
                                            .ld_state = 1,
                                            .n_rows = 1,
                                            .n = 1,
                                            .d_state = STATES});
            same(out, y);
            for (uint32_t s = 0; s < STATES; s++)
                same(state[s], h[s]);
        }
}

/* A constant that is off by its last bit shows in no result for a long time: hw/rtl/fp32_exp.sv has
 * those of fmath.h. */
static void test_constants_of_the_circuit(void **unused)
{
    (void)unused;
    const struct {
        const char *name;
        float value;
    } constants[] = {
        {"LOW",          QM_EXP_LOW     },
        {"HIGH",         QM_EXP_HIGH    },
        {"LOG2E",        QM_LOG2E       },
        {"MAGIC",        QM_ROUND_MAGIC },
        {"MINUS_MAGIC",  -QM_ROUND_MAGIC},
        {"MINUS_LN2_HI", -QM_LN2_HI     },
        {"MINUS_LN2_LO", -QM_LN2_LO     },
        {"C2",           QM_EXP_C2      },
        {"C3",           QM_EXP_C3      },
        {"C4",           QM_EXP_C4      },
        {"C5",           QM_EXP_C5      },
        {"C6",           QM_EXP_C6      },
    };
    char path[1200], line[80];
    quamba_error err;
    qm_map map;
    const char *source = getenv("QUAMBA_SOURCE_DIR");
    if (!source) fail_msg("QUAMBA_SOURCE_DIR is not set: run this by ctest");
    snprintf(path, sizeof path, "%s/hw/rtl/fp32_exp.sv", source);
    if (qm_map_open(&map, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    char *text = qm_strndup((const char *)map.data, map.size);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
        snprintf(line, sizeof line, " %s = 32'h%08x", constants[i].name,
                 (unsigned)qm_bits_f32(constants[i].value));
        if (!strstr(text, line)) fail_msg("%s: no%s", path, line);
    }
    free(text);
    qm_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_codes),
                                       cmocka_unit_test(test_scans),
                                       cmocka_unit_test(test_constants_of_the_circuit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
