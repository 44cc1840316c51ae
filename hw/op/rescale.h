/* An exact sum of products of codes to a number: two factors in the linear's own order, each
 * product rounded; then, where wanted, rounded to half (and widened again). */
#ifndef QM_OP_RESCALE_H
#define QM_OP_RESCALE_H

#include "base/half.h"

static inline float qm_op_rescale(int32_t acc, float first, float second)
{
    return second * (first * (float)acc);
}

static inline float qm_op_rescale_f16(int32_t acc, float first, float second)
{
    return qm_round_f16(qm_op_rescale(acc, first, second));
}

#endif
