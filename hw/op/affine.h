/* An integer, exact in FP32 or rounded to it, times a scale plus a bias, rounded once.  After the
 * INT8 convolution: scale is fl(weight scale * input scale), sum the exact accumulator. */
#ifndef QM_OP_AFFINE_H
#define QM_OP_AFFINE_H

#include <math.h>
#include <stdint.h>

static inline float qm_op_affine(float scale, int32_t sum, float bias)
{
    return fmaf(scale, (float)sum, bias);
}

#endif
