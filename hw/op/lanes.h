/* The order of every float reduction: term i goes to lane i % 16 in the order of i, lanes starting
 * at +0; then the lanes are halved. */
#ifndef QM_OP_LANES_H
#define QM_OP_LANES_H

#include <stddef.h>

enum { QM_LANES = 16 };

/* lane j += lane j + 8, then 4, 2, 1; returns lane 0. */
static inline float qm_op_halve_lanes(float lane[QM_LANES])
{
    for (size_t half = QM_LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

#endif
