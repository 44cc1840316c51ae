/* The norm of a row: its factor once, then every element. */
#ifndef QM_OP_RMS_NORM_H
#define QM_OP_RMS_NORM_H

#include <math.h>

/* squares: the sum of the n squares (op/mac.h in the order of op/lanes.h) */
static inline float qm_op_rms_factor(float squares, float n, float eps)
{
    return 1.0f / sqrtf(squares / n + eps);
}

static inline float qm_op_rms_scale(float x, float factor, float weight)
{
    return (x * factor) * weight;
}

#endif
