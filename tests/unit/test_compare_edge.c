/* What is measured at one edge, against closed forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "eval/compare_edge.h"
#include "eval/compare_logits.h"

#include <math.h>

static void near_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-14 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

static qm_row numbers(const float *values, size_t n) { return (qm_row){.values = values, .n = n}; }

static void test_errors(void **state)
{
    (void)state;
    const float a[] = {3.0f, -4.0f, 0.0f, 12.0f}, b[] = {3.0f, -2.0f, 1.0f, 10.0f};
    const qm_row x = numbers(a, 4), y = numbers(b, 4);
    qm_edge_stats s = {0};
    for (size_t token = 0; token < 2; token++) { /* two rows: the same ratios */
        qm_edge_see(&s, &y);
        qm_edge_compare(&s, &x, &y, 0, token);
    }
    assert_int_equal(s.n, 8);
    assert_int_equal(s.n_compared, 8);
    assert_int_equal(s.n_codes, 0);
    near_to(s.max_error, 2.0);
    near_to(qm_edge_rms(&s), 1.5); /* sqrt(9 / 4) */
    near_to(qm_edge_sqnr_db(&s), 10.0 * log10(169.0 / 9.0));
    near_to(qm_edge_cosine(&s), (9.0 + 8.0 + 120.0) / sqrt(169.0 * 114.0));
    near_to(s.largest, 10.0);
    assert_true(s.numbers && !s.codes && s.scale == 0.0f);
}

static void test_itself(void **state)
{
    (void)state;
    float values[1000];
    for (size_t i = 0; i < 1000; i++)
        values[i] = sinf((float)i * 1.7f) * expf((float)(i % 40) - 20.0f);
    const qm_row x = numbers(values, 1000);
    qm_parting parting = {0};
    qm_edge_stats s = {.parting = &parting};
    qm_edge_see(&s, &x);
    qm_edge_compare(&s, &x, &x, 0, 0);
    assert_true(s.max_error == 0.0 && s.error2 == 0.0 && qm_edge_rms(&s) == 0.0);
    assert_true(qm_edge_cosine(&s) == 1.0);
    assert_true(qm_edge_sqnr_db(&s) == HUGE_VAL);
    assert_int_equal(parting.n_differ, 0);
}

static void test_flips(void **state)
{
    (void)state;
    const int8_t a[] = {1, -128, 5, 127, 0}, b[] = {1, 127, 4, 127, 0};
    float va[5], vb[5];
    for (size_t i = 0; i < 5; i++) {
        va[i] = 0.5f * (float)a[i];
        vb[i] = 0.5f * (float)b[i];
    }
    const qm_row x = {.values = va, .codes = a, .scale = 0.5f, .n = 5};
    qm_row y = {.values = vb, .codes = b, .scale = 0.5f, .n = 5};
    qm_parting parting = {0};
    qm_edge_stats s = {.parting = &parting};
    qm_edge_see(&s, &y);
    qm_edge_compare(&s, &x, &y, 2, 7);
    assert_int_equal(s.n_codes, 5);
    assert_int_equal(s.flips, 2);
    assert_int_equal(s.worst_flip, 255);
    assert_true(s.codes && s.scale == 0.5f);
    assert_int_equal(parting.n_differ, 2);
    assert_int_equal(parting.piece, 2);
    assert_int_equal(parting.token, 7);
    assert_int_equal(parting.channel, 1);
    assert_int_equal(parting.pair.first_code, -128);
    assert_int_equal(parting.pair.other_code, 127);
    assert_true(parting.in_codes && !parting.in_steps && !parting.in_ulps);
    assert_int_equal(parting.codes[255 + 255], 1);
    assert_int_equal(parting.codes[255 - 1], 1);

    y.scale = 0.25f; /* another scale: no flips, steps of the first run's */
    qm_edge_see(&s, &y);
    qm_edge_compare(&s, &x, &y, 3, 0);
    assert_int_equal(s.n_codes, 5);
    assert_true(isnan(s.scale) && parting.in_steps);
    assert_int_equal(parting.codes[255 - 1], 2);
    assert_int_equal(parting.piece, 2);
}

static void test_not_finite(void **state)
{
    (void)state;
    const float a[] = {1.0f, INFINITY, NAN, NAN, 2.0f}, b[] = {1.0f, INFINITY, NAN, 1.0f, 3.0f};
    const qm_row x = numbers(a, 5), y = numbers(b, 5);
    qm_edge_stats s = {0};
    qm_edge_see(&s, &y);
    qm_edge_compare(&s, &x, &y, 0, 0);
    assert_int_equal(s.not_finite, 3);
    assert_true(s.max_error == HUGE_VAL); /* a number where the first has none */
    near_to(qm_edge_rms(&s), sqrt(0.5));
    near_to(s.largest, 3.0);
    qm_edge_stats same = {0};
    qm_edge_compare(&same, &x, &x, 0, 0);
    assert_true(same.max_error == 0.0 && same.error2 == 0.0);
}

static void test_ulps(void **state)
{
    (void)state;
    assert_int_equal(qm_ulps_between(1.0f, nextafterf(1.0f, 2.0f)), 1);
    assert_int_equal(qm_ulps_between(nextafterf(1.0f, 2.0f), 1.0f), -1);
    assert_int_equal(qm_ulps_between(-0.0f, 0.0f), 0);
    assert_int_equal(qm_ulps_between(nextafterf(0.0f, -1.0f), nextafterf(0.0f, 1.0f)), 2);
    assert_int_equal(qm_ulps_between(1.0f, 2.0f), 1 << 23);
    assert_int_equal(qm_ulps_between(NAN, 2.0f), INT64_MAX);
    const float a[] = {1.0f, 1.0f, 1.0f, -0.0f, 1.0f},
                b[] = {1.0f, 1.0f + 0x1p-23f, 1.0f - 0x1p-22f, 0.0f, NAN};
    const qm_row x = numbers(a, 5), y = numbers(b, 5);
    qm_parting parting = {0};
    qm_edge_stats s = {.parting = &parting};
    qm_edge_compare(&s, &x, &y, 0, 0);
    assert_int_equal(parting.n_differ, 3);
    assert_int_equal(parting.channel, 1);
    assert_int_equal(parting.ulps[1][0], 1); /* +1 */
    assert_int_equal(parting.ulps[0][2], 1); /* -4..7: below 1 floats are half as far apart */
    assert_int_equal(parting.ulps[1][QM_ULP_BUCKETS - 1], 1);
    assert_true(parting.in_ulps && !parting.in_codes);
}

/* Counts do not depend on the order in which values come, and fit the bins. */
static void test_histogram(void **state)
{
    (void)state;
    enum { N = 5000 };
    static float values[N];
    static qm_edge_stats up, down;
    for (size_t i = 0; i < N; i++)
        values[i] = (i % 3 == 0 ? -1.0f : 1.0f) * ldexpf(1.0f + (float)(i % 7), (int)(i % 30) - 25);
    for (size_t i = 0; i < N; i++) {
        const qm_row a = numbers(values + i, 1), b = numbers(values + N - 1 - i, 1);
        qm_edge_see(&up, &a);
        qm_edge_see(&down, &b);
    }
    assert_int_equal(up.histogram.exponent, down.histogram.exponent);
    assert_memory_equal(up.histogram.cells, down.histogram.cells, sizeof up.histogram.cells);
    qm_bins bins;
    uint64_t n = 0;
    qm_histogram_bins(&up.histogram, 0.0, &bins);
    const double width = (bins.high - bins.low) / QM_HISTOGRAM_BINS;
    for (size_t k = 0; k < QM_HISTOGRAM_BINS; k++) {
        uint64_t want = 0;
        for (size_t i = 0; i < N; i++)
            want += (double)values[i] >= bins.low + (double)k * width &&
                    (double)values[i] < bins.low + (double)(k + 1) * width;
        assert_int_equal(bins.counts[k], want);
        n += want;
    }
    assert_int_equal(n, N);
}

static void test_histogram_of_codes(void **state)
{
    (void)state;
    int8_t codes[256];
    float values[256];
    for (int i = 0; i < 256; i++) {
        codes[i] = (int8_t)(i - 128);
        values[i] = 0.125f * (float)codes[i];
    }
    const qm_row x = {.values = values, .codes = codes, .scale = 0.125f, .n = 256};
    static qm_edge_stats s;
    qm_bins bins;
    qm_edge_see(&s, &x);
    qm_histogram_bins(&s.histogram, 0.125, &bins);
    near_to(bins.low, -128.5 * 0.125);
    near_to(bins.high, 127.5 * 0.125);
    for (size_t k = 0; k < QM_HISTOGRAM_BINS; k++)
        assert_int_equal(bins.counts[k], 4);
}

static void test_divergence(void **state)
{
    (void)state;
    const float a[] = {logf(0.5f), logf(0.25f), logf(0.25f)},
                b[] = {logf(0.25f), logf(0.5f), logf(0.25f)};
    const double sum_a = qm_log_sum_exp(a, 3), sum_b = qm_log_sum_exp(b, 3);
    assert_true(fabs(sum_a) < 1e-7);
    const double kl = qm_kl_divergence(a, sum_a, b, sum_b, 3);
    assert_true(fabs(kl - 0.25 * log(2.0)) < 1e-7); /* the logits are rounded */
    assert_true(qm_kl_divergence(a, sum_a, a, sum_a, 3) == 0.0);
    const float shifted[] = {a[0] + 64.0f, a[1] + 64.0f, a[2] + 64.0f};
    assert_true(fabs(qm_kl_divergence(a, sum_a, shifted, qm_log_sum_exp(shifted, 3), 3)) < 1e-10);
    const float broken[] = {NAN, 0.0f, 0.0f};
    assert_true(isnan(qm_kl_divergence(a, sum_a, broken, qm_log_sum_exp(broken, 3), 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors),
                                       cmocka_unit_test(test_itself),
                                       cmocka_unit_test(test_flips),
                                       cmocka_unit_test(test_not_finite),
                                       cmocka_unit_test(test_ulps),
                                       cmocka_unit_test(test_histogram),
                                       cmocka_unit_test(test_histogram_of_codes),
                                       cmocka_unit_test(test_divergence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
