/* What calibration makes of tensors: magnitudes and quantiles of one text's values, and scales from
 * those of all texts.  The roundings are upstream's; every value observed is one that half
 * precision holds, so a count per magnitude replaces sorting, with equal results. */
#ifndef QM_QUANT_OBSERVERS_H
#define QM_QUANT_OBSERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bins: zero, then 10 fraction bits for each exponent of a half in float form, 2^-24 .. 2^15, then
 * what is not finite. */
enum { QM_MAGNITUDE_BINS = 42 * 1024 };

/* How often each magnitude came; zero-initialise. */
typedef struct qm_magnitudes {
    uint64_t n;
    uint32_t counts[QM_MAGNITUDE_BINS];
} qm_magnitudes;

/* Counts |x[i]|; every x[i] is a half value, an infinity or a NaN.  At most UINT32_MAX in all. */
void qm_magnitudes_add(qm_magnitudes *m, const float *x, size_t n);
void qm_magnitudes_clear(qm_magnitudes *m);

/* The alpha quantile (0 < alpha <= 1) of what was counted, n >= 1: linear between the two ranks
 * around alpha * (n - 1), all in float.  Infinite when one of the two is not finite. */
float qm_magnitudes_quantile(const qm_magnitudes *m, float alpha);

/* max |x[i]|, and infinite when some x[i] is not finite; largest is the result so far, 0 at
 * first. */
float qm_absmax_f32(float largest, const float *x, size_t n);

/* Exponential moving average of quantiles, 0.01 for each new one; the first starts it. */
float qm_moving_average(float average, float quantile, bool is_first);

/* The scale of an INT8 tensor by its largest magnitude, a half: fl16(largest / 127), and by the
 * average of a quantile: in float; never below 1e-6. */
float qm_scale_of_absmax(float largest);
float qm_scale_of_quantile(float average);

#endif
