/* A session: one timeline through a model, and the scratch to compute it. */
#ifndef QM_RUNTIME_SESSION_H
#define QM_RUNTIME_SESSION_H

#include "datapath/datapath.h"
#include "kernels/kernels.h"
#include "model/model.h"

enum {
    QM_PANEL_ROWS = 32, /* rows of a matrix that are widened to FP32 together, per thread */
    QM_SCORE_ROWS = 16  /* positions whose logits are computed together when scoring */
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

struct quamba_session {
    const quamba_model *model;
    quamba_session_options options;
    qm_kernels kernels;
    quamba_tap *tap;
    void *tap_user;
    uint64_t position;
    qm_arena arena; /* everything below */

    float *conv_state; /* [n_layer][d_conv][d_inner]: the last inputs of the convolution, oldest
                          first */
    float *ssm_state;  /* [n_layer][d_state][d_inner] */

    /* scratch for max_rows tokens; what two stages do not need at once shares a buffer */
    float *residual; /* [max_rows][d_model] */
    float *hidden;   /* [max_rows][d_model]: norm output, later out_proj output */
    float *xz;     /* [max_rows][2 d_inner]: in_proj output; the x half later holds the scan's y */
    float *conv;   /* [max_rows][d_inner]: conv output, the scan's u */
    float *x_dbl;  /* [max_rows][dt_rank + 2 d_state] */
    float *delta;  /* [max_rows][d_inner] */
    float *panel;  /* [n_threads][QM_PANEL_ROWS][widest n_in] */
    float *logits; /* [n_vocab] */
    qm_segment *segments; /* [max_rows], as heads: the pass being run */
    qm_head_row *heads;
    float *scores; /* [QM_SCORE_ROWS][n_vocab], allocated when first used, freed apart */
};

/* Floats in the two recurrent states of a session. */
static inline size_t qm_conv_floats(const qm_config *c)
{
    return (size_t)c->n_layer * (size_t)c->d_conv * (size_t)c->d_inner;
}

static inline size_t qm_ssm_floats(const qm_config *c)
{
    return (size_t)c->n_layer * (size_t)c->d_state * (size_t)c->d_inner;
}

/* Runs a pass through the whole model on owner's threads and scratch, advances the states of its
 * sessions and fills what the head rows ask for.  Everything was checked before; it cannot fail. */
void qm_forward(const quamba_session *owner, const qm_pass *pass);

#endif
