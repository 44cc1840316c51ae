/* The order of a reduction, written once for all scalar versions. */
#ifndef QM_KERNELS_SCALAR_LANES_H
#define QM_KERNELS_SCALAR_LANES_H

#include "kernels/kernels.h"

static inline float qm_halve_lanes(float lane[QM_LANES])
{
    for (size_t half = QM_LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

#endif
