/* log(1 + e^x), x itself above the threshold.  Error of the first form: 2.0 ulp
 * (tests/unit/test_fmath). */
#ifndef QM_OP_SOFTPLUS_H
#define QM_OP_SOFTPLUS_H

#include "base/fmath.h"

static inline float qm_op_softplus(float x)
{
    return x <= QM_SOFTPLUS_THRESHOLD ? qm_log1pf(qm_expf(x)) : x;
}

/* The same as upstream's decode kernel forms it: 1 + e^x is rounded before the logarithm, so it is
 * exactly 0 below about -16.6. */
static inline float qm_op_softplus_log(float x)
{
    return x <= QM_SOFTPLUS_THRESHOLD ? qm_logf(qm_expf(x) + 1.0f) : x;
}

#endif
