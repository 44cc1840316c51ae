/* A number to a code: divide by the scale (a division, not a product with the reciprocal), round,
 * saturate at -128 and 127.  *lost counts what saturated or was NaN (base/code.h). */
#ifndef QM_OP_QUANTIZE_H
#define QM_OP_QUANTIZE_H

#include "base/code.h"

/* Ties to even. */
static inline int8_t qm_op_quantize_even(float x, float scale, size_t *lost)
{
    return qm_code_even(x / scale, lost);
}

/* Ties away from zero. */
static inline int8_t qm_op_quantize_away(float x, float scale, size_t *lost)
{
    return qm_code_away(x / scale, lost);
}

#endif
