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

/* Returns out with this state's part. */
static inline float qm_op_scan_step(qm_op_scan kind, float out, float *h, float u, float delta,
                                    float a, float b, float c)
{
    const float decay =
        kind == QM_OP_SCAN_MAMBA ? qm_op_decay_exp2(delta, a) : qm_op_decay(delta, a);
    const float in = kind == QM_OP_SCAN_REF ? (delta * b) * u : b * (delta * u);
    *h = qm_op_scan_skips_first(kind) ? fmaf(decay, *h, in) : decay * *h + in;
    return kind == QM_OP_SCAN_REF ? out + *h * c : fmaf(*h, c, out);
}

/* Returns y. */
static inline float qm_op_scan_end(qm_op_scan kind, float out, float d, float u)
{
    return qm_op_scan_skips_first(kind) ? out : out + d * u;
}

#endif
