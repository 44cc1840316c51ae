/* W8A8 in floating point, with some of its tensors left alone: which of them costs how much.  The
 * model is the fused one (quant/fuse.h) in FP32; weights are replaced by fl(scale * code), and what
 * leaves an operator is rounded to fl(scale * code) of its edge.  Sums are FP32, so the result is
 * not bit-equal to mode 0, only as close as two orders of summation. */
#ifndef QM_QUANT_SIMULATE_H
#define QM_QUANT_SIMULATE_H

#include "quamba/quamba.h"

/* X(id, name on the command line, what it is): the kinds of tensors that W8A8 rounds. */
#define QM_KIND_LIST(X)                                                                            \
    X(NORM_OUT, "norm_out", "in_proj's input")                                                     \
    X(IN_PROJ_OUT, "in_proj_out", "x before the convolution, and the gate z")                      \
    X(CONV_OUT, "conv_out", "u: x_proj's input and the scan's; the only clipped one")              \
    X(X_PROJ_OUT, "x_proj_out", "dt_low, B and C")                                                 \
    X(DT_PROJ_OUT, "dt_proj_out", "dt")                                                            \
    X(SSM_STATE, "state", "the recurrent state from step to step; decode only")                    \
    X(HADAMARD_OUT, "hadamard_out", "out_proj's input")                                            \
    X(IN_PROJ, "in_proj", "weights")                                                               \
    X(CONV1D, "conv1d", "weights and bias")                                                        \
    X(X_PROJ, "x_proj", "weights")                                                                 \
    X(DT_PROJ, "dt_proj", "weights")                                                               \
    X(DT_BIAS, "dt_bias", "weights")                                                               \
    X(A_LOG, "A_log", "weights")                                                                   \
    X(D, "D", "weights")                                                                           \
    X(OUT_PROJ, "out_proj", "weights")

typedef enum qm_kind {
#define QM_KIND_ENUM(id, name, text) QM_KIND_##id,
    QM_KIND_LIST(QM_KIND_ENUM)
#undef QM_KIND_ENUM
        QM_N_KINDS
} qm_kind;

/* Name and description of a kind. */
const char *qm_kind_name(qm_kind kind);
const char *qm_kind_text(qm_kind kind);

/* Sets the bits of a comma list of names; "all" and "none" stand alone.  E_ARGUMENT names what is
 * no kind. */
quamba_status qm_kinds_parse(uint32_t *kinds, const char *list, quamba_error *err);

/* Opens a floating-point checkpoint as its W8A8 model with these activation scales (a file of
 * model/act_scales.h), the kinds in leave_float (bits 1 << kind) not rounded. */
quamba_status qm_simulate(quamba_model **model, const char *path, const char *act_scales,
                          uint32_t leave_float, const char *cpu, int32_t n_threads,
                          quamba_error *err);

#endif
