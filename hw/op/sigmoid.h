/* 1 / (1 + e^-x), with one division. */
#ifndef QM_OP_SIGMOID_H
#define QM_OP_SIGMOID_H

#include "base/fmath.h"

static inline float qm_op_sigmoid(float x) { return 1.0f / (1.0f + qm_expf(-x)); }

#endif
