/* Going through a text and computing every edge of the chosen layers from its inputs, operator by
 * operator, beside the runtime: what the runtime shows at an edge must be equal bit for bit, or the
 * walk fails and names the edge.  Memory is that of one piece of the text. */
#ifndef QM_TRACE_WALK_H
#define QM_TRACE_WALK_H

#include "runtime/session.h"
#include "trace/layout.h"

enum { QM_TRACE_PIECE = 32 /* tokens that are computed together, where the mode allows it */ };

/* Of a walk's values; only a mode that looks at the whole prompt can need more. */
#define QM_TRACE_MAX_BYTES ((uint64_t)2 << 30)

/* How it is done, and who watches. */
typedef struct qm_trace_watch {
    quamba_session_options session;
    void (*progress)(void *user, uint64_t done, uint64_t total); /* tokens; NULL: none */
    bool (*cancelled)(void *user);                               /* NULL: never */
    void *user;
} qm_trace_watch;

typedef struct qm_trace_walk {
    const qm_trace_plan *plan;
    const qm_trace_watch *watch;

    /* Takes an edge's values of n_rows tokens from number token on: int8_t, int32_t or float as the
     * edge's type says (floats for QM_F16 too), row after row.  Edges come in the order of the path
     * within a piece and layer, those of the state token by token. */
    quamba_status (*emit)(void *user, int32_t layer, qm_trace_edge edge, size_t token,
                          size_t n_rows, const void *values, quamba_error *err);
    void *user;
} qm_trace_walk;

quamba_status qm_trace_walk_run(const qm_trace_walk *walk, quamba_error *err);

/* The most memory a walk takes for its values, in bytes. */
uint64_t qm_trace_walk_bytes(const qm_trace_walk *walk);

/* ---- inside: what walk.c and the operators share ----------------------------------------------
 */

/* What the tokens of a layer leave for those that come. */
typedef struct qm_trace_past {
    void *conv;    /* [d_conv - 1][d_inner], as conv_in */
    float *scales; /* [d_conv - 1] of the codes; 0 before the first token, whose codes are 0 */
    float *h;      /* [d_state][d_inner] */
    bool stepped;  /* h is what a decode step left */
} qm_trace_past;

/* A piece of the text in one layer. */
typedef struct qm_trace_piece {
    const qm_trace_walk *walk;
    const quamba_model *model;
    const qm_config *config;
    const qm_knobs *knobs;
    const qm_layer *l;
    qm_kernels fast; /* for the sums of the linear layers */
    bool quantized, half;
    size_t max_rows;
    qm_dtype dtype[QM_N_TRACE_EDGES]; /* QM_I8, QM_I32 or QM_F32: as held here */
    size_t n_cols[QM_N_TRACE_EDGES];
    void *data[QM_N_TRACE_EDGES]; /* [max_rows][n_cols]; [1] of the state's edges; NULL: absent */
    qm_trace_past *pasts;         /* [n_layer]; h is NULL in layers that are not wanted */
    qm_trace_past *past;
    int8_t *codes; /* [2 d_inner or d_model, the larger] scratch */
    float *row;    /* the same, and a row of a matrix */
    int32_t *acc;  /* the same */
    float *taps;   /* [2 d_conv][d_inner] */
    qm_rotation rotation;
    int32_t layer;
    size_t first, n_rows; /* tokens of the piece */
    bool step;
    bool conv_done;
    quamba_status status;
    quamba_error error;
} qm_trace_piece;

static inline void *qm_trace_row(const qm_trace_piece *p, qm_trace_edge edge, size_t row)
{
    return (char *)p->data[edge] + row * p->n_cols[edge] * qm_dtype_size(p->dtype[edge]);
}

static inline float *qm_trace_numbers(const qm_trace_piece *p, qm_trace_edge edge, size_t row)
{
    return qm_trace_row(p, edge, row);
}

static inline int8_t *qm_trace_codes(const qm_trace_piece *p, qm_trace_edge edge, size_t row)
{
    return qm_trace_row(p, edge, row);
}

/* The operators, in their order; each fills its edges of all rows of the piece from the edges
 * before. */
void qm_trace_embed(qm_trace_piece *p);
void qm_trace_norm(qm_trace_piece *p);
void qm_trace_in_proj(qm_trace_piece *p);
void qm_trace_conv_in(qm_trace_piece *p);
void qm_trace_conv(qm_trace_piece *p); /* to conv_out, x_proj_in and scan_in */
void qm_trace_x_proj(qm_trace_piece *p);
void qm_trace_dt_proj(qm_trace_piece *p);
void qm_trace_rotate(qm_trace_piece *p);
void qm_trace_out_proj(qm_trace_piece *p);
void qm_trace_residual(qm_trace_piece *p);
void qm_trace_norm_f(qm_trace_piece *p, const float *stream); /* of one row */
void qm_trace_logits(qm_trace_piece *p);

/* The scan hands over the state's edges as it goes. */
quamba_status qm_trace_scan(qm_trace_piece *p, quamba_error *err);

/* Hands values of the piece's rows [row, row + n) over, as far as they are among the wanted
 * tokens. */
quamba_status qm_trace_hand_over(const qm_trace_piece *p, qm_trace_edge edge, size_t row, size_t n,
                                 quamba_error *err);

#endif
