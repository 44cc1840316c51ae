/* The edges that a trace knows: those that the runtime shows and those in between.  One table says
 * how they are called, what they mean and how they are laid out; what one is in a mode (type,
 * scale, formula, or why it is not there) is found from the model's knobs. */
#ifndef QM_TRACE_EDGES_H
#define QM_TRACE_EDGES_H

#include "model/model.h"

/* Axes of one token's values. */
typedef enum qm_trace_axes {
    QM_AXES_ONE, /* a single number */
    QM_AXES_MODEL,
    QM_AXES_INNER,
    QM_AXES_IN_PROJ, /* 2 d_inner: x, then z */
    QM_AXES_X_PROJ,  /* dt_rank + 2 d_state: dt_low, B, C */
    QM_AXES_STATE,
    QM_AXES_STATES, /* d_state rows of d_inner */
    QM_AXES_VOCAB,
} qm_trace_axes;

/* X(id, name, axes, meaning), in the order of the path; the last two belong to the head. */
#define QM_TRACE_EDGE_LIST(X)                                                                      \
    X(RESIDUAL_IN, "residual_in", MODEL, "the stream as the block reads it")                       \
    X(NORM_OUT, "norm_out", MODEL, "RMSNorm: the mixer's input")                                   \
    X(IN_PROJ_ACC, "in_proj_acc", IN_PROJ, "in_proj's exact sums, of x, then of z")                \
    X(IN_PROJ_X, "in_proj_x", INNER, "in_proj's x half")                                           \
    X(IN_PROJ_Z, "in_proj_z", INNER, "in_proj's z half: the gate")                                 \
    X(CONV_IN_SCALE, "conv_in_scale", ONE, "scale of conv_in, found at run time")                  \
    X(CONV_IN, "conv_in", INNER, "what the convolution reads")                                     \
    X(CONV_ACC, "conv_acc", INNER, "the convolution's exact sum, without bias")                    \
    X(CONV_PRE, "conv_pre", INNER, "pre-activation: the sum scaled, bias added")                   \
    X(CONV_SILU, "conv_silu", INNER, "after SiLU, before rounding")                                \
    X(GRID_SCALE, "grid_scale", ONE, "second scale of conv_out, found at run time")                \
    X(CONV_OUT, "conv_out", INNER, "the convolution's output: quantized, or on its grid")          \
    X(X_PROJ_IN, "x_proj_in", INNER, "what x_proj reads")                                          \
    X(X_PROJ_ACC, "x_proj_acc", X_PROJ, "x_proj's exact sums")                                     \
    X(X_PROJ_OUT, "x_proj_out", X_PROJ, "x_proj: dt_low, B, C")                                    \
    X(SCAN_B, "scan_b", STATE, "B as the scan reads it")                                           \
    X(SCAN_C, "scan_c", STATE, "C as the scan reads it")                                           \
    X(DT_PROJ_ACC, "dt_proj_acc", INNER, "dt_proj's exact sums")                                   \
    X(DT_PROJ_OUT, "dt_proj_out", INNER, "dt_proj: the time step before bias and softplus")        \
    X(DELTA, "delta", INNER, "the time step after bias and softplus")                              \
    X(SCAN_IN, "scan_in", INNER, "u as the scan reads it")                                         \
    X(DECAY, "decay", STATES, "what the state is multiplied by")                                   \
    X(STATE_IN, "state_in", STATES, "the state that the token finds")                              \
    X(STATE, "state", STATES, "the state after the update, which the output is summed from")       \
    X(STATE_KEPT, "state_kept", STATES, "the state that is carried on")                            \
    X(SCAN_SUM, "scan_sum", INNER, "the scan's sum with the skip term, before the gate")           \
    X(GATE, "gate", INNER, "z as the gate reads it")                                               \
    X(SCAN_OUT, "scan_out", INNER, "the scan's output y, gated")                                   \
    X(HADAMARD_PRE, "hadamard_pre", INNER, "y rotated and scaled, before rounding")                \
    X(HADAMARD_OUT, "hadamard_out", INNER, "y rotated: out_proj's input")                          \
    X(OUT_PROJ_ACC, "out_proj_acc", MODEL, "out_proj's exact sums")                                \
    X(OUT_PROJ_OUT, "out_proj_out", MODEL, "out_proj: what the block adds")                        \
    X(RESIDUAL, "residual", MODEL, "the stream after the block")                                   \
    X(NORM_F_OUT, "norm_f_out", MODEL, "head: the final norm")                                     \
    X(LOGITS, "logits", VOCAB, "head: the logits")

typedef enum qm_trace_edge {
#define QM_TRACE_EDGE_ENUM(id, name, axes, meaning) QM_AT_##id,
    QM_TRACE_EDGE_LIST(QM_TRACE_EDGE_ENUM)
#undef QM_TRACE_EDGE_ENUM
        QM_N_TRACE_EDGES
} qm_trace_edge;

enum { QM_MAX_TRACE_DIMS = 3 };

const char *qm_trace_edge_name(qm_trace_edge edge);
const char *qm_trace_edge_meaning(qm_trace_edge edge);

/* The edge of that name; QM_N_TRACE_EDGES when there is none. */
qm_trace_edge qm_trace_edge_find(const char *name);

static inline bool qm_trace_edge_is_head(qm_trace_edge edge)
{
    return edge == QM_AT_NORM_F_OUT || edge == QM_AT_LOGITS;
}

/* Sizes and names of the axes of one token's values; returns how many there are, 0 .. 2. */
int32_t qm_trace_edge_axes(qm_trace_edge edge, const qm_config *c, uint64_t shape[2],
                           const char *names[2]);

/* Values of one token. */
size_t qm_trace_edge_count(qm_trace_edge edge, const qm_config *c);

/* What a trace is of, as far as an edge's form depends on it. */
typedef struct qm_trace_setting {
    const quamba_model *model;
    bool prefill, steps; /* tokens of a prefill, of decode steps are among the traced ones */
} qm_trace_setting;

/* What an edge is in a layer (n_layer: the head) under the model's mode. */
typedef struct qm_trace_facts {
    const char *absent; /* NULL, or why the mode does not have it */
    qm_dtype dtype;     /* QM_I8 codes, QM_I32 exact sums, QM_F32, QM_F16: half values */
    float scale;        /* of codes: the value is scale * code; 0: no codes, or found at run time */
    const char *inputs; /* edges and parameters of the formula, separated by blanks */
    char formula[420];  /* as docs/trace.md writes them */
    char in_steps[420]; /* the same for decode steps; "" where it is the same */
} qm_trace_facts;

void qm_trace_describe(qm_trace_facts *facts, const qm_trace_setting *setting, int32_t layer,
                       qm_trace_edge edge);

/* A number or array of the model that a formula names. */
typedef struct qm_trace_parameter {
    const char *meaning;
    qm_dtype dtype;
    int32_t ndim; /* 0: a single number */
    uint64_t shape[2];
    const char *axes[2];
    const void *data;        /* borrowed from the model; NULL for a single number */
    const qm_linear *packed; /* data are its codes, packed; NULL: row-major */
    float value;             /* of a single number */
} qm_trace_parameter;

/* False when the model has none of that name there. */
bool qm_trace_parameter_find(qm_trace_parameter *parameter, const quamba_model *model,
                             int32_t layer, const char *name);

/* The scale that the final norm's codes have. */
static inline float qm_trace_norm_f_scale(const quamba_model *m)
{
    return m->norm_f_kind == QM_NORM_F_CODES ? m->norm_f_scale : m->head.a;
}

/* The factor of the rotation: upstream forms it in double. */
float qm_trace_hadamard_factor(const quamba_model *m, int32_t layer);

#endif
