/* Tables against the runtime's kernels, entry by entry; their errors against long double; and what
 * the files hold. */
#include "base/file.h"
#include "base/half.h"
#include "base/text.h"
#include "kernels/kernels.h"
#include "lut/lut.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static qm_lut make(const char *function, const char *in, const char *out, bool away,
                   const float *biases, size_t n_biases, bool fused)
{
    qm_lut lut;
    quamba_error err;
    qm_lut_spec spec = {.function = qm_lut_function_find(function),
                        .away = away,
                        .biases = biases,
                        .n_tables = n_biases,
                        .fused = fused};
    assert_non_null(spec.function);
    assert_int_equal(qm_lut_format_parse(&spec.in, in, &err), QUAMBA_OK);
    assert_int_equal(qm_lut_format_parse(&spec.out, out, &err), QUAMBA_OK);
    if (qm_lut_make(&lut, &spec, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    return lut;
}

/* z codes through dequantize, SiLU and the quantizers. */
static void test_silu_of_codes(void **unused)
{
    (void)unused;
    for (int away = 0; away < 2; away++) {
        qm_lut lut = make("silu", "i8:0.05", "i8:0.04", away, NULL, 0, false);
        int8_t codes[256], want[256];
        float x[256];
        for (int i = 0; i < 256; i++)
            codes[i] = (int8_t)i;
        qm_dequantize_i8_scalar(x, codes, 0.05f, 256);
        qm_silu_f32_scalar(x, 256);
        size_t lost = away ? qm_quantize_away_i8_scalar(want, x, 0.04f, 256)
                           : qm_quantize_even_i8_scalar(want, x, 0.04f, 256);
        for (int i = 0; i < 256; i++)
            assert_int_equal((int8_t)lut.bits[i], want[i]);
        assert_int_equal(lut.n_lost, lost);
        assert_true(lost > 0 && lut.worst.error <= 0.5001);
        qm_lut_free(&lut);
    }
}

/* dt codes with the bias of each channel: fused in a prefill, rounded before it in a step. */
static void test_time_steps(void **unused)
{
    (void)unused;
    const float biases[3] = {-4.3f, 0.01f, 2.7f};
    for (int decode = 0; decode < 2; decode++) {
        qm_lut lut = make(decode ? "softplus-log" : "softplus", "i8:0.031", "f32", false, biases, 3,
                          !decode);
        assert_int_equal(lut.n_tables, 3);
        for (size_t t = 0; t < 3; t++) {
            float x[256], bias[256];
            int8_t codes[256];
            for (int i = 0; i < 256; i++) {
                codes[i] = (int8_t)i;
                bias[i] = biases[t];
            }
            if (decode) {
                qm_dequantize_i8_scalar(x, codes, 0.031f, 256);
                qm_softplus_log_f32_scalar(x, bias, 256);
            } else {
                qm_affine_i8_scalar(x, codes, 0.031f, bias, 256);
                qm_softplus_f32_scalar(x, NULL, 256);
            }
            for (int i = 0; i < 256; i++)
                assert_int_equal(lut.bits[t * 256 + (size_t)i], qm_bits_f32(x[i]));
        }
        qm_lut_free(&lut);
    }
}

static void test_codes_of_16_bits(void **unused)
{
    (void)unused;
    qm_lut lut = make("silu", "i16:0.001", "i16:0.0005", true, NULL, 0, false);
    assert_int_equal(lut.n_entries, 65536);
    for (int32_t i = -32768; i < 32768; i += 7) {
        float y = 0.001f * (float)i;
        qm_silu_f32_scalar(&y, 1);
        const float r = roundf(y / 0.0005f);
        const int32_t want = r > 32767 ? 32767 : (int32_t)r;
        assert_int_equal((int16_t)lut.bits[(uint16_t)i], want);
    }
    assert_int_equal(lut.bits[(uint16_t)32767], 32767); /* saturates */
    assert_true(lut.n_lost > 0 && lut.worst.error <= 0.51);
    qm_lut_free(&lut);
}

/* Above 20 softplus is its input: code + 200.5 lies between two codes. */
static void test_ties(void **unused)
{
    (void)unused;
    const float bias = 200.5f;
    for (int away = 0; away < 2; away++) {
        qm_lut lut = make("softplus", "i8:1", "i16:1", away, &bias, 1, true);
        for (int code = -128; code < 128; code++) {
            const int below = code + 200;
            assert_int_equal(lut.bits[(uint8_t)code], below + (away || below % 2 != 0));
        }
        qm_lut_free(&lut);
    }
}

/* ---- errors: every function over the halves, against long double ----------------------------- */

static long double exp_l(long double x) { return expl(x); }
static long double exp2_l(long double x) { return exp2l(x); }
static long double silu_l(long double x) { return x / (1 + expl(-x)); }
static long double sigmoid_l(long double x) { return 1 / (1 + expl(-x)); }
static long double softplus_l(long double x) { return x > 60 ? x : log1pl(expl(x)); }

static void test_errors(void **unused)
{
    (void)unused;
    const struct {
        const char *name;
        long double (*of)(long double);
        double low, bound; /* inputs from low up are within bound ulps of a float */
    } rows[] = {
        {"exp",          exp_l,      -HUGE_VAL, 1.1},
        {"exp2",         exp2_l,     -HUGE_VAL, 1.2},
        {"silu",         silu_l,     -88,       2.5},
        {"sigmoid",      sigmoid_l,  -88,       2.5},
        {"softplus",     softplus_l, -HUGE_VAL, 2.0},
        {"softplus-log", softplus_l, 0,         2.0},
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        qm_lut lut = make(rows[k].name, "f16", "f32", false, NULL, 0, false);
        double worst = -1, within = 0, largest = 0;
        uint64_t lost = 0;
        for (size_t i = 0; i < lut.n_entries; i++) {
            const qm_lut_entry e = qm_lut_entry_at(&lut.spec, 0, i);
            const float x = qm_f32_f16((uint16_t)i), y = qm_f32_bits(lut.bits[i]);
            float again = lut.spec.function->of(x);
            assert_true(qm_bits_f32(again) == lut.bits[i]);
            assert_true(qm_bits_f32(e.x) == qm_bits_f32(x));
            const long double truth = rows[k].of((long double)x);
            if (!isfinite(x) || !isfinite(y)) {
                lost++;
                assert_true(e.is_lost);
                continue;
            }
            int exponent;
            frexpl(truth, &exponent);
            const double unit = ldexp(1, (truth == 0 || exponent < -125 ? -125 : exponent) - 24);
            const double error = (double)fabsl((long double)y - truth) / unit;
            if (fabs(error - e.error) > 1e-6 * error + 1e-6)
                fail_msg("%s(%a): %g ulp, the table says %g", rows[k].name, (double)x, error,
                         e.error);
            worst = fmax(worst, error);
            largest = fmax(largest, (double)fabsl((long double)y - truth));
            if ((double)x >= rows[k].low) within = fmax(within, error);
        }
        assert_int_equal(lost, lut.n_lost);
        assert_true(fabs(worst - lut.worst.error) <= 1e-6 * worst + 1e-6);
        assert_true(fabs(largest - lut.largest) <= 1e-6 * largest);
        assert_true(within <= rows[k].bound);
        qm_lut_free(&lut);
    }
    assert_null(qm_lut_function_at(sizeof rows / sizeof rows[0])); /* none left out */
}

/* ---- formats --------------------------------------------------------------------------------- */

static void test_formats(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"",        "i8",    "i8:",     "i8:0",    "i8:-1",
                                      "i8:nan",  "i8:x",  "i8:1x",   "i16:inf", "f16:1",
                                      "f32:0.5", "i88:1", "float16", "I8:1"};
    quamba_error err;
    qm_lut_format f;
    char name[32];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(qm_lut_format_parse(&f, bad[i], &err), QUAMBA_E_ARGUMENT);
    assert_int_equal(qm_lut_format_parse(&f, "i16:0x1p-4", &err), QUAMBA_OK);
    assert_string_equal(qm_lut_format_name(&f, name), "i16:0.0625");
    assert_int_equal(qm_lut_format_bits(&f), 16);
    qm_lut lut;
    qm_lut_spec spec = {.function = qm_lut_function_find("exp"), .in = {.kind = QM_LUT_F32}};
    assert_int_equal(qm_lut_make(&lut, &spec, &err), QUAMBA_E_ARGUMENT);
    const float biases[2] = {0, NAN};
    spec = (qm_lut_spec){
        .function = spec.function, .in = {QM_LUT_I8, 1},
             .biases = biases, .n_tables = 2
    };
    assert_int_equal(qm_lut_make(&lut, &spec, &err), QUAMBA_E_ARGUMENT);
}

/* ---- files ----------------------------------------------------------------------------------- */

static char path[1200];

static qm_map write_and_map(const qm_lut *lut, const char *ending)
{
    const char *build = getenv("QUAMBA_BUILD_DIR");
    quamba_error err;
    qm_map map;
    snprintf(path, sizeof path, "%s/test_lut%s", build ? build : ".", ending);
    if (qm_lut_write(lut, path, &err) != QUAMBA_OK) fail_msg("%s", err.message);
    assert_int_equal(qm_map_open(&map, path, &err), QUAMBA_OK);
    return map;
}

/* The numbers of a text between its first "= {" (or its beginning) and its end, comments left out.
 */
static void read_numbers(const qm_map *map, int base, const uint32_t *want, size_t n, uint32_t mask)
{
    char *text = malloc(map->size + 1), *at = text;
    assert_non_null(text);
    memcpy(text, map->data, map->size);
    text[map->size] = '\0';
    if (strstr(text, "= {")) at = strstr(text, "= {") + 3;
    for (size_t i = 0; i < n; i++) {
        while (strchr(" ,{}\n", *at) || strncmp(at, "//", 2) == 0)
            at = *at == '/' ? strchr(at, '\n') : at + 1;
        char *end;
        const long long value = strtoll(at, &end, base);
        assert_true(end > at);
        assert_int_equal((uint32_t)value & mask, want[i] & mask);
        at = end;
    }
    while (*at && strchr(" ,{};\n", *at))
        at++;
    assert_int_equal(*at, '\0');
    free(text);
}

static void test_files(void **unused)
{
    (void)unused;
    static const struct {
        const char *out, *npy_type;
        size_t bytes;
    } rows[] = {
        {"i8:0.04",   "'|i1'", 1},
        {"i16:0.001", "'<i2'", 2},
        {"f16",       "'<f2'", 2},
        {"f32",       "'<f4'", 4},
    };
    const float biases[2] = {-1.5f, 0.5f};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        qm_lut lut = make("softplus-log", "i8:0.05", rows[k].out, false, biases, 2, false);
        const uint32_t mask = rows[k].bytes == 4 ? UINT32_MAX : (1u << 8 * rows[k].bytes) - 1;
        qm_map map = write_and_map(&lut, ".mem");
        read_numbers(&map, 16, lut.bits, 512, UINT32_MAX);
        qm_map_close(&map);
        remove(path);
        map = write_and_map(&lut, ".h");
        read_numbers(&map, 0, lut.bits, 512, mask);
        qm_map_close(&map);
        remove(path);
        map = write_and_map(&lut, ".npy");
        assert_int_equal(map.size, 128 + 512 * rows[k].bytes);
        assert_memory_equal(map.data, "\x93NUMPY\x01\x00\x76\x00{'descr': ", 20);
        assert_memory_equal(map.data + 20, rows[k].npy_type, 5);
        assert_int_equal(map.data[127], '\n');
        for (size_t i = 0; i < 512; i++) {
            uint32_t word = 0;
            memcpy(&word, map.data + 128 + i * rows[k].bytes, rows[k].bytes);
            assert_int_equal(word, lut.bits[i]);
        }
        qm_map_close(&map);
        remove(path);
        map = write_and_map(&lut, ".csv");
        size_t lines = 0;
        for (size_t i = 0; i < map.size; i++)
            lines += map.data[i] == '\n';
        assert_int_equal(lines, 513);
        qm_map_close(&map);
        remove(path);
        quamba_error err;
        assert_int_equal(qm_lut_write(&lut, "table.txt", &err), QUAMBA_E_ARGUMENT);
        assert_int_equal(qm_lut_write(&lut, ".mem", &err), QUAMBA_E_ARGUMENT);
        assert_int_equal(qm_lut_write(&lut, "/nowhere/at/all.mem", &err), QUAMBA_E_IO);
        qm_lut_free(&lut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silu_of_codes),
        cmocka_unit_test(test_time_steps),
        cmocka_unit_test(test_codes_of_16_bits),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
