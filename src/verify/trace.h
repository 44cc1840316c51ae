/* What a run left at every edge, kept to be compared with another run. */
#ifndef QM_VERIFY_TRACE_H
#define QM_VERIFY_TRACE_H

#include "runtime/edges.h"
#include "runtime/session.h"

/* One edge of one layer. */
typedef struct qm_recording {
    float *values; /* [n_tokens][n_cols], codes as numbers; owned; NULL: never shown */
    size_t n_cols;
    float scale; /* of codes; 0: they are numbers */
} qm_recording;

typedef struct qm_trace {
    size_t n_tokens, n_prefill;
    int32_t n_layer, d_inner, d_state;
    qm_recording *edges; /* [n_layer + 1][QM_N_EDGES]; the state has d_state rows, see below */
    float *states[2];    /* [n_layer][d_state][d_inner] after the prefill and after all tokens */
    float *z;            /* [n_layer][n_tokens][d_inner]: gate codes, where they are codes */
    bool failed;         /* no memory */
} qm_trace;

/* One run: a prefill, then steps. */
typedef struct qm_plan {
    const quamba_model *model;
    const int32_t *tokens;
    size_t n_tokens, n_prefill; /* n_prefill >= 1 */
    quamba_session_options options;
    const qm_trace *inputs; /* NULL, or whose residual streams every layer after the first reads */
    bool fix_z;             /* all gate codes are replaced by 64 */
} qm_plan;

/* Runs a plan into a zeroed trace, which is to be freed whatever the outcome. */
quamba_status qm_trace_run(qm_trace *trace, const qm_plan *plan, quamba_error *err);

/* Runs the prefills of several plans of one model side by side, into as many traces. */
quamba_status qm_trace_run_together(qm_trace *traces, const qm_plan *plans, size_t n,
                                    quamba_error *err);
void qm_trace_free(qm_trace *trace);

/* An edge; layer n_layer has the final norm and the logits. */
static inline const qm_recording *qm_trace_at(const qm_trace *trace, int32_t layer, qm_edge edge)
{
    return &trace->edges[(size_t)layer * QM_N_EDGES + (size_t)edge];
}

static inline float qm_recorded(const qm_recording *r, size_t i)
{
    return r->scale > 0.0f ? r->scale * r->values[i] : r->values[i];
}

/* How far two runs are apart. */
typedef struct qm_deviation {
    size_t n, n_differ;
    double worst;       /* in steps of the number format: codes, halves, else floats */
    double error, norm; /* sums of squares: of the differences, of the values */
    qm_edge edge;       /* of the first difference */
    int32_t layer;
} qm_deviation;

/* One value more; step: distance of neighbours there. */
void qm_deviate(qm_deviation *d, int32_t layer, qm_edge edge, float got, float want, double step);

/* Adds to *d how rows [first, end) of the edges in the set (bit 1 << edge) differ; edges that both
 * runs lack are equal. */
void qm_trace_compare(qm_deviation *d, const qm_trace *a, const qm_trace *b, uint32_t edges,
                      size_t first, size_t end);

/* The same for the states: which is 0 after the prefill, 1 after all tokens. */
void qm_trace_compare_states(qm_deviation *d, const qm_trace *a, const qm_trace *b, int which);

/* Distance from a half to its neighbour, from a float to its. */
double qm_half_step(float x);
double qm_float_step(float x);

#endif
