/* An exact sum of products of codes to a code of the next operator: two factors, in the linear's
 * own order, each product rounded; ties to even.  *lost as in op/quantize.h. */
#ifndef QM_OP_REQUANTIZE_H
#define QM_OP_REQUANTIZE_H

#include "base/code.h"

static inline int8_t qm_op_requantize(int32_t acc, float first, float second, size_t *lost)
{
    return qm_code_even(second * (first * (float)acc), lost);
}

#endif
