/* A session: one timeline through a model, and the scratch to compute it. */
#ifndef QM_RUNTIME_SESSION_H
#define QM_RUNTIME_SESSION_H

#include "datapath/datapath.h"
#include "kernels/kernels.h"
#include "model/model.h"

#include <stdatomic.h>

enum {
    QM_PANEL_ROWS = 32, /* rows of a matrix that are widened to FP32 together, per thread */
    QM_MAX_ROWS = 1 << 20,
    QM_SCORE_ROWS = 16, /* positions whose logits are computed together when scoring */
    QM_APART = 16,      /* counters of different threads: a cache line */
    QM_HEAD_CHUNK = 512 /* outputs of the head that a thread takes at a time: the largest matrix by
                           far, so one thread that is held up must not hold up all */
};

/* A stretch of one session's tokens inside a pass. */
typedef struct qm_segment {
    quamba_session *session;
    const int32_t *tokens; /* [n_rows] */
    int32_t first_row, n_rows;
    bool decode; /* a decode step: n_rows is 1 */
} qm_segment;

/* A position whose logits are wanted: as a whole, or as its target's probability. */
typedef struct qm_head_row {
    int32_t row; /* in the pass */
    const qm_segment *segment;
    float *logits;  /* NULL, or where all of them go */
    int32_t target; /* -1: none */
    quamba_logprob *logprob;
} qm_head_row;

/* Tokens of several sessions that go through the model together. */
typedef struct qm_pass {
    qm_segment *segments;
    qm_head_row *heads;
    int32_t n_segments, n_heads, n_rows;
} qm_pass;

/* Codes between the operators of a quantized layer, for max_rows tokens. */
typedef struct qm_codes {
    int8_t *norm;  /* [max_rows][d_model] */
    int8_t *xz;    /* [max_rows][2 d_inner] */
    int8_t *u;     /* [max_rows][d_inner]: conv output, later the rotated y */
    int8_t *x_dbl; /* [max_rows][dt_rank + 2 d_state] */
    int8_t *dt;    /* [max_rows][d_inner] */
} qm_codes;

/* The Hadamard transform of d_inner values (base/hadamard.h). */
typedef struct qm_rotation {
    int32_t m, width;
    int8_t *signs; /* [m][m] */
} qm_rotation;

struct quamba_session {
    const quamba_model *model;
    quamba_session_options options;
    qm_kernels kernels;
    quamba_tap *tap;
    void *tap_user;
    uint64_t position;
    qm_arena arena, scratch; /* everything below: what stays, and what grows with max_rows */

    /* The last inputs of the convolution, [n_layer][d_conv][d_inner], oldest first: numbers, or in
     * a quantized model codes at in_proj's output scale; the other is NULL. */
    float *conv_state;
    int8_t *conv_codes;
    float *conv_scales; /* [n_layer][d_conv]: of those codes where they are found at run time */
    float *
        ssm_state; /* [n_layer][d_state][d_inner]; after a step that keeps INT8, fl(scale * code) */
    bool on_grid;  /* ssm_state is what a step left */
    _Atomic uint64_t *lost; /* [n_layer + 1][QM_N_EDGES]: codes that saturated or were NaN */

    /* scratch for max_rows tokens; what two stages do not need at once shares a buffer */
    float *residual;  /* [max_rows][d_model] */
    float *hidden;    /* [max_rows][d_model]: norm output, later out_proj output */
    float *xz;        /* [max_rows][2 d_inner]: in_proj output; the x half later holds the scan's y;
                         quantized: [max_rows][d_inner], y only */
    float *conv;      /* [max_rows][d_inner]: conv output, the scan's u */
    float *x_dbl;     /* [max_rows][dt_rank + 2 d_state]; quantized: NULL */
    float *delta;     /* [max_rows][d_inner] */
    float *logits;    /* [n_vocab] */
    qm_codes codes;   /* of a quantized model, with what some rows need besides: */
    float *x;         /* [max_rows][d_inner]: in_proj's x as numbers */
    float *z_numbers; /* [max_rows][d_inner]: in_proj's z as numbers */
    float *u;         /* [max_rows][d_inner]: the scan's u; conv where that can serve */
    float *xp_numbers;   /* [max_rows][d_inner]: x_proj's input as numbers; likewise */
    float *input_scales; /* [max_rows]: of the convolution's input, found at run time */
    float *maxima;       /* [n_threads][max_rows]: over each thread's channels of a row */
    qm_rotation rotation;

    /* scratch of each thread, [n_threads] times */
    float *panel;         /* [qm_panel_floats]: rows widened to FP32, or a product's scratch */
    int32_t *acc;         /* [qm_acc_count]: INT8 products, or codes of a row of weights */
    size_t *lost_rows;    /* [max_rows]: codes that a product lost in each row */
    float *z;             /* [d_inner]; NULL where the mode needs none */
    float *deq;           /* [2 d_conv][d_inner]: dequantized weights and taps */
    float *rates;         /* [d_state][d_inner]: A times log2(e) */
    float *bc;            /* [max_rows][2 d_state]: B and C dequantized */
    int8_t *state_codes;  /* [d_inner] */
    qm_segment *segments; /* [max_rows], as heads: the pass being run */
    qm_head_row *heads;
    qm_segment *cuts; /* [max_rows + n_threads]: those of threads with rows of their own */
    _Atomic int32_t *handed_on; /* [n_threads][QM_APART]: what each of them has left to the next */
    float *scores; /* [QM_SCORE_ROWS][n_vocab], allocated when first used, freed apart */
};

/* Elements of a thread's scratch. */
static inline size_t qm_panel_floats(const qm_config *c)
{
    const int32_t inner = c->d_inner > c->dt_rank ? c->d_inner : c->dt_rank;
    const size_t floats = QM_PANEL_ROWS * (size_t)(inner > c->d_model ? inner : c->d_model);
    const size_t codes = c->quantized ? QM_I8_SCRATCH / sizeof(float) : 0;
    return floats > codes ? floats : codes;
}

static inline size_t qm_acc_count(const qm_config *c, int32_t max_rows)
{
    const int64_t counts[] = {
        (int64_t)(max_rows > QM_SCORE_ROWS ? max_rows : QM_SCORE_ROWS) * QM_I8_TILE,
        2 * (int64_t)c->d_inner, c->d_model, QM_HEAD_CHUNK, /* of one token: outputs of products */
        c->dt_rank + 2 * (int64_t)c->d_state};
    int64_t most = 0;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        most = counts[i] > most ? counts[i] : most;
    return (size_t)most;
}

/* Elements of the two recurrent states of a session. */
static inline size_t qm_conv_count(const qm_config *c)
{
    return (size_t)c->n_layer * (size_t)c->d_conv * (size_t)c->d_inner;
}

static inline size_t qm_ssm_count(const qm_config *c)
{
    return (size_t)c->n_layer * (size_t)c->d_state * (size_t)c->d_inner;
}

/* Elements of conv_scales. */
static inline size_t qm_conv_scale_count(const qm_config *c)
{
    return (size_t)c->n_layer * (size_t)c->d_conv;
}

/* Allocates state and scratch of a session whose model and options are set. */
quamba_status qm_session_allocate(quamba_session *s, quamba_error *err);

/* Scratch for more rows; the state stays.  On failure nothing has changed. */
quamba_status qm_session_grow(quamba_session *s, int32_t max_rows, quamba_error *err);

/* A quantized session whose scratch for rows begins with row first: what a thread sees that has the
 * rows from there on for itself. */
quamba_session qm_session_from_row(const quamba_session *s, int32_t first);

/* Runs a pass through the whole model on owner's threads and scratch, advances the states of its
 * sessions and fills what the head rows ask for.  Everything was checked before; it cannot fail. */
void qm_forward(const quamba_session *owner, const qm_pass *pass);

#endif
