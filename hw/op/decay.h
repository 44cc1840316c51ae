/* What a state keeps over a time step: e^(delta a), a < 0; or, a holding log2(e) already, 2^. */
#ifndef QM_OP_DECAY_H
#define QM_OP_DECAY_H

#include "base/fmath.h"

static inline float qm_op_decay(float delta, float a) { return qm_expf(delta * a); }

static inline float qm_op_decay_exp2(float delta, float a) { return qm_exp2f(delta * a); }

#endif
