/* The orthogonal transform T_n = (M_m (x) Walsh_width) / sqrt(n), n = m * width, that rotates the
 * residual stream and the scan's output of a quantized model.  Index i = c * width + r: Walsh
 * butterflies mix r, the special matrix mixes c. */
#ifndef QM_BASE_HADAMARD_H
#define QM_BASE_HADAMARD_H

#include <stdbool.h>
#include <stdint.h>

enum { QM_HADAMARD_MAX_M = 40 };

/* The factors of n as upstream chooses them: m = 12 when 12 divides n, else 40 when 40 does, else
 * 1, and width = n / m, a power of two.  False, and nothing written, when there are none. */
bool qm_hadamard_split(int64_t n, int32_t *m, int32_t *width);

/* Fills signs [m][m] (row c', column c) with +1 and -1; m as split gave it: 1, 12 or 40. */
void qm_hadamard_signs(int32_t m, int8_t *signs);

#endif
