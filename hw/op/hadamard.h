/* The steps of the Hadamard transform: butterflies at strides 1, 2, 4 .., then, where the width is
 * no power of two, sums of blocks with signs, from +0 on. */
#ifndef QM_OP_HADAMARD_H
#define QM_OP_HADAMARD_H

#include <stdint.h>

static inline void qm_op_butterfly(float *a, float *b)
{
    const float first = *a, second = *b;
    *a = first + second;
    *b = first - second;
}

/* sign: 1 or -1 */
static inline float qm_op_add_signed(float sum, float x, int8_t sign)
{
    return sum + (sign > 0 ? x : -x);
}

#endif
