/* A real number to an INT8 code: round, saturate at -128 and 127.  Upstream rounds ties to even in
 * some operators and away from zero in others; which one is part of each operator's contract. */
#ifndef QM_BASE_CODE_H
#define QM_BASE_CODE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* r: rounded already.  A code that does not hold it, and NaN (which becomes 0), adds 1 to *lost. */
static inline int8_t qm_code_saturate(float r, size_t *lost)
{
    if (r >= -128.0f && r <= 127.0f) return (int8_t)r;
    ++*lost;
    return r > 0.0f ? INT8_MAX : r < 0.0f ? INT8_MIN : 0;
}

/* Ties to even, ties away from zero. */
static inline int8_t qm_code_even(float x, size_t *lost)
{
    return qm_code_saturate(rintf(x), lost);
}

static inline int8_t qm_code_away(float x, size_t *lost)
{
    return qm_code_saturate(roundf(x), lost);
}

#endif
