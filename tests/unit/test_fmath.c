/* Our elementary functions against double precision: every 1009th float, or every float there is
 * when QUAMBA_EXHAUSTIVE is set (minutes). */
#include "op/silu.h"
#include "op/softplus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Distance of got from the true value in units of the last place of a float there; below 2^-126 in
 * units of 2^-149. */
static double ulps(float got, double want)
{
    if (want != want) return got != got ? 0 : HUGE_VAL;
    if ((double)got == want) return 0;
    if (isinf(got))
        return fabs(want) >= 0x1.ffffffp+127 && signbit(want) == signbit(got) ? 0 : HUGE_VAL;
    int exponent;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

static double silu64(double x) { return x / (1 + exp(-x)); }

static double softplus64(double x) { return x <= 20 ? log1p(exp(x)) : x; }

/* The double reference is itself within 2^-52 or so: nothing against a float's 2^-24. */
typedef struct function {
    const char *name;
    float (*ours)(float);
    double (*reference)(double);
    double bound;
    float low; /* checked above this */
} function;

static void check(const function *f)
{
    const int64_t step = getenv("QUAMBA_EXHAUSTIVE") ? 1 : 1009;
    double worst = 0;
#pragma omp parallel for reduction(max : worst) schedule(static, 1 << 16)
    for (int64_t bits = 0; bits <= UINT32_MAX; bits += step) {
        float x = qm_f32_bits((uint32_t)bits);
        if (x < f->low) continue;
        double error = ulps(f->ours(x), f->reference((double)x));
        worst = error > worst || error != error ? error : worst;
    }
    printf("%s: at most %.3f ulp, stated %.1f\n", f->name, worst, f->bound);
    assert_true(worst <= f->bound);
}

static void test_bounds(void **state)
{
    (void)state;
    const function functions[] = {
        {"qm_expf",        qm_expf,        exp,        1.1, -INFINITY},
        {"qm_exp2f",       qm_exp2f,       exp2,       1.2, -INFINITY},
        {"qm_logf",        qm_logf,        log,        1.0, -INFINITY},
        {"qm_log1pf",      qm_log1pf,      log1p,      1.0, 0        },
 /* below, 1 + exp(-x) overflows and the result is -0, at most 2e-37 from the truth */
        {"qm_op_silu",     qm_op_silu,     silu64,     2.5, -88.0f   },
        {"qm_op_softplus", qm_op_softplus, softplus64, 2.0, -INFINITY},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        check(&functions[i]);
}

static void test_special_values(void **state)
{
    (void)state;
    assert_true(qm_expf(0) == 1 && qm_expf(-INFINITY) == 0 && qm_expf(INFINITY) == INFINITY);
    assert_true(qm_exp2f(0) == 1 && qm_exp2f(-150) == 0 && qm_exp2f(128) == INFINITY);
    assert_true(qm_exp2f(NAN) != qm_exp2f(NAN) && qm_exp2f(-149) == 0x1p-149f);
    assert_true(qm_expf(NAN) != qm_expf(NAN) && qm_expf(-104) == 0 && qm_expf(89) == INFINITY);
    assert_true(qm_logf(1) == 0 && qm_logf(0) == -INFINITY && qm_logf(-0.0f) == -INFINITY);
    assert_true(qm_logf(-1) != qm_logf(-1) && qm_logf(INFINITY) == INFINITY);
    assert_true(qm_log1pf(0) == 0 && qm_log1pf(0x1p-149f) == 0x1p-149f);
    assert_true(qm_op_silu(-200) == 0 && signbit(qm_op_silu(-200)) && qm_op_silu(0) == 0);
    assert_true(qm_op_softplus(20.5f) == 20.5f && qm_op_softplus(-200) == 0);
    /* the decode form loses what 1 + e^x cannot hold, and only there is it exactly 0 */
    assert_true(qm_op_softplus_log(-17) == 0 && qm_op_softplus(-17) > 4e-8f);
    assert_true(qm_op_softplus_log(-16) > 0);
}

/* Random arguments over the whole range, against long double. */
static void test_double_functions(void **state)
{
    (void)state;
    uint64_t r = 1;
    double worst_exp = 0, worst_log = 0;
    for (int i = 0; i < 300000; i++) {
        r = r * 6364136223846793005u + 1442695040888963407u;
        double unit = (double)(r >> 11) * 0x1p-53;
        double x = (unit - 0.5) * 1416;
        double want = (double)expl((long double)x);
        if (want > 0x1p-1022 && !isinf(want))
            worst_exp =
                fmax(worst_exp, fabs(qm_exp64(x) - want) / (nextafter(want, HUGE_VAL) - want));
        double y = i % 2 ? 1 + (unit - 0.5) * 0.01 : exp((unit - 0.5) * 1400);
        want = (double)logl((long double)y);
        if (want != 0)
            worst_log = fmax(worst_log, fabs(qm_log64(y) - want) /
                                            (nextafter(fabs(want), HUGE_VAL) - fabs(want)));
    }
    printf("qm_exp64: at most %.2f ulp; qm_log64: at most %.2f ulp\n", worst_exp, worst_log);
    assert_true(worst_exp <= 2 && worst_log <= 2);
    assert_true(qm_exp64(0) == 1 && qm_exp64(-HUGE_VAL) == 0 && qm_exp64(HUGE_VAL) == HUGE_VAL);
    assert_true(isnan(qm_exp64((double)NAN)) && qm_log64(1) == 0 && qm_log64(0) == -HUGE_VAL);
    assert_true(isnan(qm_log64(-1)) && qm_log64(HUGE_VAL) == HUGE_VAL);
}

/* Every half widens to a float that rounds back to it, and rounding is to nearest even: compared
 * with the two neighbouring halves for a sample of all floats. */
static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h <= 0xffff; h++) {
        float x = qm_f32_f16((uint16_t)h);
        if (x != x)
            assert_true((qm_f16_f32(x) & 0x7c00u) == 0x7c00u && (qm_f16_f32(x) & 0x3ffu) != 0);
        else
            assert_int_equal(qm_f16_f32(x), h);
    }
    for (uint32_t h = 0; h < 0x7bff; h++) { /* between neighbours h and h + 1, both positive */
        float low = qm_f32_f16((uint16_t)h), high = qm_f32_f16((uint16_t)(h + 1));
        float middle = low + (high - low) / 2; /* exact */
        uint32_t even = h & 1 ? h + 1 : h;
        assert_int_equal(qm_f16_f32(middle), even);
        assert_int_equal(qm_f16_f32(nextafterf(middle, 0)), h);
        assert_int_equal(qm_f16_f32(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(qm_f16_f32(-middle), even | 0x8000u);
    }
    assert_int_equal(qm_f16_f32(65519.996f), 0x7bff);
    assert_int_equal(qm_f16_f32(65520.0f), 0x7c00);
    assert_int_equal(qm_f16_f32(INFINITY), 0x7c00);
    assert_int_equal(qm_f16_f32(0x1p-25f), 0);
    assert_int_equal(qm_f16_f32(nextafterf(0x1p-25f, 1)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_special_values),
        cmocka_unit_test(test_double_functions),
        cmocka_unit_test(test_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
