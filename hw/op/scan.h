/* The selective scan of one token and one channel: begin, one step for each state in turn, end.
 * The four kinds are the same recurrence in different orders of operations (kernels/kernels.h);
 * kind is a constant at every call, and the branches on it are no hardware.
 *     u: input; delta: time step; d: skip factor; a: decay rate, of MAMBA times log2(e);
 *     b, c: the token's input and output vectors at this state; h: the state, updated in place */
#ifndef QM_OP_SCAN_H
#define QM_OP_SCAN_H

#include "op/decay.h"

typedef enum qm_op_scan {
    QM_OP_SCAN_FUSED, /* the runtime's own */
    QM_OP_SCAN_REF,   /* nothing fused: upstream's decode step */
    QM_OP_SCAN_SE,    /* one tensor expression, the sum with c fused */
    QM_OP_SCAN_MAMBA, /* the Mamba package's: powers of two */
} qm_op_scan;

/* The skip term goes first, and the state is a fused step. */
static inline bool qm_op_scan_skips_first(qm_op_scan kind)
{
    return kind == QM_OP_SCAN_FUSED || kind == QM_OP_SCAN_MAMBA;
}

/* Returns what the output starts from. */
static inline float qm_op_scan_begin(qm_op_scan kind, float d, float u)
{
    return qm_op_scan_skips_first(kind) ? d * u : 0.0f;
}

/* What the state is multiplied by. */
static inline float qm_op_scan_decay(qm_op_scan kind, float delta, float a)
{
    return kind == QM_OP_SCAN_MAMBA ? qm_op_decay_exp2(delta, a) : qm_op_decay(delta, a);
}

/* The state after the token. */
static inline float qm_op_scan_update(qm_op_scan kind, float decay, float h, float u, float delta,
                                      float b)
{
    const float in = kind == QM_OP_SCAN_REF ? (delta * b) * u : b * (delta * u);
    return qm_op_scan_skips_first(kind) ? fmaf(decay, h, in) : decay * h + in;
}

/* Returns out with this state's part. */
static inline float qm_op_scan_sum(qm_op_scan kind, float out, float h, float c)
{
    return kind == QM_OP_SCAN_REF ? out + h * c : fmaf(h, c, out);
}

/* All three. */
static inline float qm_op_scan_step(qm_op_scan kind, float out, float *h, float u, float delta,
                                    float a, float b, float c)
{
    *h = qm_op_scan_update(kind, qm_op_scan_decay(kind, delta, a), *h, u, delta, b);
    return qm_op_scan_sum(kind, out, *h, c);
}

/* Returns y. */
static inline float qm_op_scan_end(qm_op_scan kind, float out, float d, float u)
{
    return qm_op_scan_skips_first(kind) ? out : out + d * u;
}

#endif
