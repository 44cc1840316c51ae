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

static void test_argmax(void **state)
{
    (void)state;
    const double values[] = {-3.0, -1.0, -1.0, -2.0};
    assert_int_equal(qm_argmax(values, 4), 1); /* the first of equals */
    assert_int_equal(qm_argmax(values, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share),
                                       cmocka_unit_test(test_perplexity),
                                       cmocka_unit_test(test_argmax)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
