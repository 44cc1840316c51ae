/* x * sigmoid(x), by a division.  Error: 2.5 ulp from -88 up; below, 1 + exp(-x) overflows and the
 * result is -0 (tests/unit/test_fmath). */
#ifndef QM_OP_SILU_H
#define QM_OP_SILU_H

#include "base/fmath.h"

static inline float qm_op_silu(float x) { return x / (1.0f + qm_expf(-x)); }

#endif
