/* Estimates and their standard errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "eval/stats.h"

#include <math.h>

static void near_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-14 * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

static void test_share(void **state)
{
    (void)state;
    qm_estimate e = qm_estimate_share(732, 5153); /* the reference's LAMBADA accuracy of mid */
    near_to(e.value, 0.14205317290898506);
    near_to(e.error, 0.004863710629751756);
    e = qm_estimate_share(3, 3);
    near_to(e.value, 1.0);
    assert_true(e.error == 0.0);
    assert_true(isnan(qm_estimate_share(1, 1).error));
    assert_true(isnan(qm_estimate_share(0, 0).value));
}

static void test_perplexity(void **state)
{
    (void)state;
    const qm_outcome o[] = {{.loglik = -1.0}, {.loglik = -2.0}, {.loglik = -4.5}};
    qm_estimate e = qm_estimate_perplexity(o, 3);
    near_to(e.value, exp(2.5));
    near_to(e.error, exp(2.5) * sqrt((1.5 * 1.5 + 0.5 * 0.5 + 2.0 * 2.0) / 2.0) / sqrt(3.0));
    assert_true(isnan(qm_estimate_perplexity(o, 1).error));
    assert_true(isnan(qm_estimate_perplexity(o, 0).value));
}

static void close_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fabs(want))) fail_msg("got %.17g, want %.17g", got, want);
}

static void test_mean(void **state)
{
    (void)state;
    const double values[] = {1.0, 2.0, 4.0, 9.0};
    qm_estimate e = qm_estimate_mean(values, 4);
    near_to(e.value, 4.0);
    near_to(e.error, sqrt((9.0 + 4.0 + 0.0 + 25.0) / 3.0) / 2.0);
    assert_true(isnan(qm_estimate_mean(values, 1).error));
    assert_true(isnan(qm_estimate_mean(values, 0).value));
}

static void test_t_quantile(void **state)
{
    (void)state;
    const double p = 0.95; /* of the middle; one and two degrees of freedom have closed forms */
    close_to(qm_t_quantile_95(1), tan(p * acos(-1.0) / 2.0), 1e-11);
    close_to(qm_t_quantile_95(2), p * sqrt(2.0 / (1.0 - p * p)), 1e-11);
    close_to(qm_t_quantile_95(10), 2.228138851986274, 1e-11); /* scipy.stats.t.ppf(0.975, n) */
    close_to(qm_t_quantile_95(187), 1.9727310334089099, 1e-11);
    close_to(qm_t_quantile_95(1000000), 1.959966356814107, 1e-11);
    close_to(qm_t_quantile_95(1000001), 1.959963984540054, 1e-15);
}

/* Twice the lower tail of a fair binomial, from the terms themselves. */
static double two_sided(unsigned k, unsigned n)
{
    double sum = 0.0, term = 1.0;
    for (unsigned i = 0; i <= k; i++) {
        sum += term;
        term = term * (n - i) / (i + 1);
    }
    return fmin(1.0, 2.0 * ldexp(sum, -(int)n));
}

static void test_mcnemar(void **state)
{
    (void)state;
    assert_true(qm_mcnemar_exact(0, 0) == 1.0);
    assert_true(qm_mcnemar_exact(7, 7) == 1.0);
    near_to(qm_mcnemar_exact(5, 0), 0.0625);
    near_to(qm_mcnemar_exact(3, 1), 0.625);
    near_to(qm_mcnemar_exact(2, 10), 2.0 * (1 + 12 + 66) / 4096);
    for (unsigned n = 1; n < 50; n++)
        for (unsigned k = 0; 2 * k < n; k++) {
            close_to(qm_mcnemar_exact(k, n - k), two_sided(k, n), 1e-14);
            assert_true(qm_mcnemar_exact(k, n - k) == qm_mcnemar_exact(n - k, k));
        }
    close_to(qm_mcnemar_exact(500, 600), 0.0028195449914364284, 1e-12); /* scipy's binomtest */
    close_to(qm_mcnemar_exact(900, 1500), 1.0057228756190357e-34, 1e-11);
    assert_true(qm_mcnemar_exact(100000, 0) == 0.0);
}

static void test_pairs(void **state)
{
    (void)state;
    const qm_outcome a[] =
        {
            {-1.0, true,  false},
            {-2.0, false, false},
            {-3.0, true,  true }
    },
                     b[] = {{-1.5, true, false}, {-2.0, true, true}, {-2.0, false, false}};
    qm_paired p;
    assert_true(qm_compare_outcomes(a, b, 3, &p));
    assert_int_equal(p.won, 1);
    assert_int_equal(p.lost, 1);
    assert_true(p.p == 1.0);
    const double mean = 0.5 / 3.0, sum = 0.25 + 0.0 + 1.0;
    const double error = sqrt((sum - 3.0 * mean * mean) / 2.0) / sqrt(3.0);
    close_to(p.mean, mean, 1e-14);
    close_to(p.error, error, 1e-13);
    close_to(p.low, mean - qm_t_quantile_95(2) * error, 1e-12);
    close_to(p.high, mean + qm_t_quantile_95(2) * error, 1e-12);
    assert_true(qm_compare_outcomes(a, a, 3, &p));
    assert_true(p.mean == 0.0 && p.low == 0.0 && p.high == 0.0 && p.p == 1.0);
    assert_true(qm_compare_outcomes(a, b, 1, &p));
    assert_true(isnan(p.low) && isnan(p.error));
}

static void test_argmax(void **state)
{
    (void)state;
    const double values[] = {-3.0, -1.0, -1.0, -2.0};
    assert_int_equal(qm_argmax(values, 4), 1); /* the first of equals */
    assert_int_equal(qm_argmax(values, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share),   cmocka_unit_test(test_perplexity),
        cmocka_unit_test(test_mean),    cmocka_unit_test(test_t_quantile),
        cmocka_unit_test(test_mcnemar), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_argmax)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
