#include "eval/stats.h"

#include "base/fmath.h"

#include <math.h>

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

size_t qm_argmax(const double *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return best;
}
