/* y * z * sigmoid(z) in three orders of operations. */
#ifndef QM_OP_GATE_H
#define QM_OP_GATE_H

#include "op/sigmoid.h"
#include "op/silu.h"

static inline float qm_op_gate(float y, float z) { return (y * z) / (1.0f + qm_expf(-z)); }

static inline float qm_op_gate_ref(float y, float z) { return y * qm_op_silu(z); }

static inline float qm_op_gate_sigmoid(float y, float z) { return y * (z * qm_op_sigmoid(z)); }

#endif
