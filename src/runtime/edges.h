/* The edges of the datapath that a tap sees, in order. */
#ifndef QM_RUNTIME_EDGES_H
#define QM_RUNTIME_EDGES_H

#include "quamba/quamba.h"

/* X(id, name): columns and meaning */
#define QM_EDGE_LIST(X)                                                                            \
    X(NORM_OUT, "norm_out")         /* d_model: the mixer's input */                               \
    X(IN_PROJ_OUT, "in_proj_out")   /* 2 d_inner: x, then z */                                     \
    X(CONV_IN, "conv_in")           /* d_inner: codes, where in_proj hands on numbers */           \
    X(CONV_OUT, "conv_out")         /* d_inner: after SiLU (quantized: and after the grid) */      \
    X(X_PROJ_IN, "x_proj_in")       /* d_inner; quantized models, where it may differ */           \
    X(X_PROJ_OUT, "x_proj_out")     /* dt_rank + 2 d_state: dt_low, B, C */                        \
    X(DT_PROJ_OUT, "dt_proj_out")   /* d_inner: before bias and softplus */                        \
    X(SCAN_IN, "scan_in")           /* d_inner: u as the scan reads it; quantized models */        \
    X(SCAN_OUT, "scan_out")         /* d_inner: y, gated */                                        \
    X(SSM_STATE, "ssm_state")       /* d_inner: d_state rows, the state after the last token */    \
    X(HADAMARD_OUT, "hadamard_out") /* d_inner: y rotated; only where the mode rotates */          \
    X(OUT_PROJ_OUT, "out_proj_out") /* d_model */                                                  \
    X(RESIDUAL, "residual")         /* d_model: the stream after the block */                      \
    X(NORM_F_OUT, "norm_f_out")     /* d_model, of the positions whose logits were asked for */    \
    X(LOGITS, "logits")             /* n_vocab, the same positions */

typedef enum qm_edge {
#define QM_EDGE_ENUM(id, name) QM_EDGE_##id,
    QM_EDGE_LIST(QM_EDGE_ENUM)
#undef QM_EDGE_ENUM
        QM_N_EDGES
} qm_edge;

/* Which of them a view shows. */
qm_edge qm_edge_of(const quamba_view *view);

#endif
