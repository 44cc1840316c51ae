#include "eval/stats.h"

#include "base/fmath.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

qm_estimate qm_estimate_share(size_t n_true, size_t n)
{
    qm_estimate e = {(double)NAN, (double)NAN};
    if (n > 0) e.value = (double)n_true / (double)n;
    if (n > 1) e.error = sqrt(e.value * (1.0 - e.value) / (double)(n - 1));
    return e;
}

qm_estimate qm_estimate_perplexity(const qm_outcome *outcomes, size_t n)
{
    qm_estimate e = {(double)NAN, (double)NAN};
    double sum = 0.0, squares = 0.0;
    if (n == 0) return e;
    for (size_t i = 0; i < n; i++)
        sum += outcomes[i].loglik;
    double mean = sum / (double)n;
    e.value = qm_exp64(-mean);
    for (size_t i = 0; i < n; i++) {
        double d = outcomes[i].loglik - mean;
        squares += d * d;
    }
    if (n > 1) e.error = e.value * sqrt(squares / (double)(n - 1)) / sqrt((double)n);
    return e;
}

qm_estimate qm_estimate_mean(const double *values, size_t n)
{
    qm_estimate e = {(double)NAN, (double)NAN};
    double sum = 0.0, squares = 0.0;
    if (n == 0) return e;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    e.value = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - e.value) * (values[i] - e.value);
    if (n > 1) e.error = sqrt(squares / (double)(n - 1)) / sqrt((double)n);
    return e;
}

/* ---- Student's t ------------------------------------------------------------------------------
 */

/* Density at x, given that at 0. */
static double t_density(double at_zero, double n_free, double x)
{
    return at_zero * qm_exp64(-0.5 * (n_free + 1.0) * qm_log64(1.0 + x * x / n_free));
}

/* P(0 <= T <= x) by Simpson's rule; the density is smooth and x below 13. */
static double t_mass(double at_zero, double n_free, double x)
{
    enum { STEPS = 2048 };
    const double h = x / STEPS;
    double sum = at_zero + t_density(at_zero, n_free, x);
    for (int i = 1; i < STEPS; i++)
        sum += (i % 2 ? 4.0 : 2.0) * t_density(at_zero, n_free, h * i);
    return sum * h / 3.0;
}

double qm_t_quantile_95(size_t n_free)
{
    const double normal = 1.959963984540054, pi = 3.141592653589793;
    if (n_free > 1000000) return normal;
    /* gamma((v + 1) / 2) / gamma(v / 2), from v = 1 or 2 in steps of 2 */
    double ratio = n_free % 2 ? 1.0 / sqrt(pi) : sqrt(pi) / 2.0;
    for (size_t v = n_free % 2 ? 1 : 2; v < n_free; v += 2)
        ratio *= ((double)v + 1.0) / (double)v;
    const double v = (double)n_free, at_zero = ratio / sqrt(v * pi);
    double low = normal, high = 13.0; /* 12.706 for one degree of freedom */
    for (int i = 0; i < 60; i++) {
        const double middle = 0.5 * (low + high);
        if (t_mass(at_zero, v, middle) < 0.475)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* ---- pairs ----------------------------------------------------------------------------------- */

double qm_mcnemar_exact(size_t won, size_t lost)
{
    const size_t n = won + lost, k = won < lost ? won : lost;
    if (won == lost) return 1.0;
    double term = 1.0, sum = 0.0; /* C(n, k) / 2^n: halved whenever it grows, then as it is left */
    size_t halvings = n;
    for (size_t j = 1; j <= k; j++) {
        term *= (double)(n - j + 1) / (double)j;
        for (; term > 1.0 && halvings > 0; halvings--)
            term *= 0.5;
    }
    for (; halvings > 0 && term > 0.0; halvings--)
        term *= 0.5;
    for (size_t i = k;; i--) {
        sum += term;
        if (i == 0) break;
        term *= (double)i / (double)(n - i + 1);
    }
    return 2.0 * sum < 1.0 ? 2.0 * sum : 1.0;
}

bool qm_compare_outcomes(const qm_outcome *a, const qm_outcome *b, size_t n, qm_paired *out)
{
    double *differences = qm_alloc(n, sizeof *differences);
    if (!differences) return false;
    *out = (qm_paired){0};
    for (size_t i = 0; i < n; i++) {
        differences[i] = b[i].loglik - a[i].loglik;
        out->won += b[i].is_correct && !a[i].is_correct;
        out->lost += a[i].is_correct && !b[i].is_correct;
    }
    const qm_estimate e = qm_estimate_mean(differences, n);
    const double reach = n > 1 ? qm_t_quantile_95(n - 1) * e.error : (double)NAN;
    free(differences);
    out->mean = e.value;
    out->error = e.error;
    out->low = e.value - reach;
    out->high = e.value + reach;
    out->p = qm_mcnemar_exact(out->won, out->lost);
    return true;
}

size_t qm_argmax(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best;
}
