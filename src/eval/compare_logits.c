#include "eval/compare_logits.h"

#include "base/fmath.h"

#include <math.h>

double qm_log_sum_exp(const float *logits, size_t n)
{
    float largest = logits[0];
    double sum = 0.0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > largest) largest = logits[i];
    for (size_t i = 0; i < n; i++)
        sum += qm_exp64((double)logits[i] - (double)largest);
    return (double)largest + qm_log64(sum);
}

double qm_kl_divergence(const float *a, double log_sum_a, const float *b, double log_sum_b,
                        size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double log_p = (double)a[i] - log_sum_a, log_q = (double)b[i] - log_sum_b;
        sum += qm_exp64(log_p) * (log_p - log_q);
    }
    return isfinite(sum) ? sum : (double)NAN;
}
