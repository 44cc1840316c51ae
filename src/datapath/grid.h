/* What becomes of the FP32 convolution output v before the scan: quantizers that hand on FP32
 * numbers (spec/modes.md 3.3).  s: the output scale; R: the row's rounding; q = R(v / s). */
#ifndef QM_DATAPATH_GRID_H
#define QM_DATAPATH_GRID_H

#include "datapath/datapath.h"

/* v[i] = grid(v[i]), in place; s2: the scale of what saturates, for DUAL and CDUAL.  Not for I8. */
void qm_grid_apply(qm_grid grid, qm_rnd rnd, float *v, size_t n, float s, float s2);

/* The largest |v[i]| whose code does not fit (|q| > 127), 0 when all fit: what DUAL's second scale
 * comes from. */
float qm_grid_largest_outlier(qm_rnd rnd, const float *v, size_t n, float s);

/* DUAL's second scale: the outlier's 127th part, never below s. */
float qm_grid_second_scale(float largest_outlier, float s);

#endif
