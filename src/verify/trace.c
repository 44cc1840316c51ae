#include "verify/trace.h"

#include "base/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the tap of one run knows. */
typedef struct watch {
    qm_trace *trace;
    const qm_plan *plan;
    const quamba_session *session;
} watch;

static void keep_state(qm_trace *t, const quamba_view *view)
{
    const size_t n = (size_t)t->d_state * (size_t)t->d_inner;
    const int which = view->position + 1 > (uint64_t)t->n_prefill;
    memcpy(t->states[which] + (size_t)view->layer * n, view->data, n * sizeof(float));
    if (!which) memcpy(t->states[1] + (size_t)view->layer * n, view->data, n * sizeof(float));
}

static void keep_gate(const watch *w, const quamba_view *view)
{
    const size_t e = (size_t)w->trace->d_inner;
    float *z = w->trace->z + ((size_t)view->layer * w->trace->n_tokens + view->position) * e;
    for (size_t r = 0; r < (size_t)view->n_rows; r++) {
        /* row 0 of the pass is row 0 of the view unless sessions share a pass; then x and z are one
         * view */
        int8_t *codes = view->n_cols == 2 * w->trace->d_inner && view->codes
                            ? (int8_t *)(uintptr_t)view->codes + r * view->row_stride + e
                            : w->session->codes.xz + r * 2 * e + e;
        for (size_t i = 0; i < e; i++) {
            if (w->plan->fix_z) codes[i] = 64;
            z[r * e + i] = (float)codes[i];
        }
    }
}

static void on_edge(void *user, const quamba_view *view)
{
    const watch *w = user;
    qm_trace *t = w->trace;
    const qm_edge edge = qm_edge_of(view);
    if (t->failed) return;
    if (edge == QM_EDGE_SSM_STATE) {
        keep_state(t, view);
        return;
    }
    if (edge == QM_EDGE_IN_PROJ_OUT) keep_gate(w, view);
    qm_recording *r = &t->edges[(size_t)view->layer * QM_N_EDGES + (size_t)edge];
    const size_t n_cols = (size_t)view->n_cols;
    if (!r->values) {
        r->n_cols = n_cols;
        r->values = qm_alloc(t->n_tokens * n_cols, sizeof(float));
        t->failed = !r->values;
        if (t->failed) return;
        for (size_t i = 0; i < t->n_tokens * n_cols; i++)
            r->values[i] = NAN; /* not shown */
    }
    r->scale = view->codes ? view->scale : 0.0f;
    for (size_t i = 0; i < (size_t)view->n_rows; i++) {
        const size_t row = view->position + i;
        float *to = r->values + row * n_cols;
        for (size_t c = 0; c < n_cols; c++)
            to[c] = view->codes ? (float)view->codes[i * view->row_stride + c]
                                : view->data[i * view->row_stride + c];
        if (edge != QM_EDGE_RESIDUAL || !w->plan->inputs) continue;
        memcpy((float *)(uintptr_t)view->data + i * view->row_stride,
               qm_trace_at(w->plan->inputs, view->layer, edge)->values + row * n_cols,
               n_cols * sizeof(float)); /* the buffer is the session's own */
    }
}

static bool start(qm_trace *t, const qm_plan *plan)
{
    const qm_config *c = &plan->model->config;
    const size_t n_layer = (size_t)c->n_layer, e = (size_t)c->d_inner;
    const size_t n_state = n_layer * (size_t)c->d_state * e;
    t->n_tokens = plan->n_tokens;
    t->n_prefill = plan->n_prefill;
    t->n_layer = c->n_layer;
    t->d_inner = c->d_inner;
    t->d_state = c->d_state;
    t->edges = qm_alloc((n_layer + 1) * QM_N_EDGES, sizeof *t->edges);
    t->states[0] = qm_alloc(n_state, sizeof(float));
    t->states[1] = qm_alloc(n_state, sizeof(float));
    t->z = qm_alloc(n_layer * plan->n_tokens * e, sizeof(float));
    t->failed = !t->edges || !t->states[0] || !t->states[1] || !t->z;
    return !t->failed;
}

static quamba_status no_memory(quamba_error *err)
{
    return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory recording a run");
}

quamba_status qm_trace_run(qm_trace *trace, const qm_plan *plan, quamba_error *err)
{
    quamba_session *s = NULL;
    if (!start(trace, plan)) return no_memory(err);
    quamba_status status = quamba_session_new(&s, plan->model, &plan->options, err);
    if (status != QUAMBA_OK) return status;
    watch w = {trace, plan, s};
    const float *logits;
    quamba_session_set_tap(s, on_edge, &w);
    status = quamba_session_prefill(s, plan->tokens, plan->n_prefill, &logits, err);
    for (size_t i = plan->n_prefill; status == QUAMBA_OK && i < plan->n_tokens; i++)
        status = quamba_session_step(s, plan->tokens[i], &logits, err);
    quamba_session_free(&s);
    return status == QUAMBA_OK && trace->failed ? no_memory(err) : status;
}

quamba_status qm_trace_run_together(qm_trace *traces, const qm_plan *plans, size_t n,
                                    quamba_error *err)
{
    quamba_session **sessions = qm_alloc(n, sizeof *sessions);
    quamba_job *jobs = qm_alloc(n, sizeof *jobs);
    watch *watches = qm_alloc(n, sizeof *watches);
    quamba_status status = sessions && jobs && watches ? QUAMBA_OK : no_memory(err);
    for (size_t i = 0; status == QUAMBA_OK && i < n; i++) {
        status = start(&traces[i], &plans[i])
                     ? quamba_session_new(&sessions[i], plans[i].model, &plans[i].options, err)
                     : no_memory(err);
        if (status != QUAMBA_OK) break;
        watches[i] = (watch){&traces[i], &plans[i], sessions[i]};
        quamba_session_set_tap(sessions[i], on_edge, &watches[i]);
        jobs[i] = (quamba_job){.session = sessions[i],
                               .tokens = plans[i].tokens,
                               .n_tokens = plans[i].n_prefill,
                               .want_logits = true};
    }
    if (status == QUAMBA_OK) status = quamba_session_run(jobs, n, err);
    for (size_t i = 0; i < n && sessions; i++) {
        quamba_session_free(&sessions[i]);
        if (status == QUAMBA_OK && traces[i].failed) status = no_memory(err);
    }
    free(sessions);
    free(jobs);
    free(watches);
    return status;
}

void qm_trace_free(qm_trace *trace)
{
    for (size_t i = 0; trace->edges && i < ((size_t)trace->n_layer + 1) * QM_N_EDGES; i++)
        free(trace->edges[i].values);
    free(trace->edges);
    free(trace->states[0]);
    free(trace->states[1]);
    free(trace->z);
    *trace = (qm_trace){0};
}

/* ---- distances --------------------------------------------------------------------------------
 */

double qm_half_step(float x)
{
    int exponent;
    frexp((double)x, &exponent);
    return ldexp(1.0, exponent < -13 ? -24 : exponent - 11);
}

double qm_float_step(float x)
{
    int exponent;
    frexp((double)x, &exponent);
    return ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

static double step_of(const qm_recording *r, qm_edge edge, float x)
{
    if (r->scale > 0.0f) return (double)r->scale;
    return edge == QM_EDGE_SCAN_OUT || edge == QM_EDGE_OUT_PROJ_OUT || edge == QM_EDGE_LOGITS
               ? qm_half_step(x)
               : qm_float_step(x);
}

void qm_deviate(qm_deviation *d, int32_t layer, qm_edge edge, float got, float want, double step)
{
    const bool equal = got == want || (got != got && want != want);
    d->n++;
    if (want == want) d->norm += (double)want * (double)want;
    if (equal) return;
    if (d->n_differ++ == 0) {
        d->layer = layer;
        d->edge = edge;
    }
    const double error = fabs((double)got - (double)want);
    if (error == error && error < HUGE_VAL)
        d->error += error * error;
    else
        d->error = HUGE_VAL;
    if (!(error / step <= d->worst)) d->worst = error == error ? error / step : HUGE_VAL;
}

void qm_trace_compare(qm_deviation *d, const qm_trace *a, const qm_trace *b, uint32_t edges,
                      size_t first, size_t end)
{
    for (int32_t layer = 0; layer <= a->n_layer; layer++)
        for (int32_t edge = 0; edge < QM_N_EDGES; edge++) {
            const qm_recording *x = qm_trace_at(a, layer, (qm_edge)edge),
                               *y = qm_trace_at(b, layer, (qm_edge)edge);
            if (!(edges >> edge & 1) || (!x->values && !y->values)) continue;
            if (!x->values || !y->values || x->n_cols != y->n_cols) {
                qm_deviate(d, layer, (qm_edge)edge, 1.0f, 0.0f, 0.0); /* shown in one of them */
                continue;
            }
            for (size_t i = first * x->n_cols; i < end * x->n_cols; i++)
                qm_deviate(d, layer, (qm_edge)edge, qm_recorded(x, i), qm_recorded(y, i),
                           step_of(y, (qm_edge)edge, qm_recorded(y, i)));
        }
}

void qm_trace_compare_states(qm_deviation *d, const qm_trace *a, const qm_trace *b, int which)
{
    const size_t n = (size_t)a->d_state * (size_t)a->d_inner;
    for (int32_t layer = 0; layer < a->n_layer; layer++)
        for (size_t i = (size_t)layer * n; i < ((size_t)layer + 1) * n; i++)
            qm_deviate(d, layer, QM_EDGE_SSM_STATE, a->states[which][i], b->states[which][i],
                       qm_float_step(b->states[which][i]));
}
