#include "trace/walk.h"

#include "base/hadamard.h"
#include "base/half.h"
#include "runtime/edges.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory -----------------------------------------------------------------------------------
 */

static bool is_state(qm_trace_edge edge)
{
    return edge == QM_AT_DECAY || edge == QM_AT_STATE_IN || edge == QM_AT_STATE ||
           edge == QM_AT_STATE_KEPT;
}

/* Rows that are computed together: a mode that looks at the whole prompt gets it in one piece. */
static size_t piece_rows(const qm_trace_walk *walk)
{
    const size_t whole =
        qm_sees_whole_prompt(walk->plan->model->datapath) ? walk->plan->n_prefill : 0;
    return whole > QM_TRACE_PIECE ? whole : QM_TRACE_PIECE;
}

/* Type as held here and rows of an edge; 0 rows: not there.  Accumulators of a mode that has none
 * are not needed; conv_in_scale and the like are there exactly where they are found at run time. */
static size_t rows_of(const qm_trace_walk *walk, qm_trace_edge edge, qm_dtype *dtype)
{
    const qm_trace_setting setting = {.model = walk->plan->model,
                                      .prefill = walk->plan->n_prefill > 0,
                                      .steps = walk->plan->n_tokens > walk->plan->n_prefill};
    const int32_t n_layer = walk->plan->model->config.n_layer;
    const bool head = qm_trace_edge_is_head(edge);
    qm_trace_facts facts;
    qm_trace_describe(&facts, &setting, head ? n_layer : 0, edge);
    *dtype = facts.dtype == QM_F16 ? QM_F32 : facts.dtype;
    if (facts.absent || (head && !walk->plan->layers[n_layer])) return 0;
    return head || edge == QM_AT_DECAY ? 1 : is_state(edge) ? 0 : piece_rows(walk);
}

uint64_t qm_trace_walk_bytes(const qm_trace_walk *walk)
{
    const qm_config *c = &walk->plan->model->config;
    uint64_t total = 0;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
        qm_dtype dtype;
        const uint64_t n = rows_of(walk, (qm_trace_edge)i, &dtype);
        total += n * qm_trace_edge_count((qm_trace_edge)i, c) * qm_dtype_size(dtype);
    }
    return total;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static bool allocate_past(qm_trace_piece *p, int32_t layer)
{
    const qm_config *c = p->config;
    const size_t e = (size_t)c->d_inner, before = (size_t)c->d_conv - 1;
    qm_trace_past *past = &p->pasts[layer];
    past->conv = qm_alloc(before * e, qm_dtype_size(p->dtype[QM_AT_CONV_IN]));
    past->scales = qm_alloc(before, sizeof(float));
    past->h = qm_alloc((size_t)c->d_state * e, sizeof(float));
    return past->conv && past->scales && past->h;
}

static bool allocate(qm_trace_piece *p)
{
    const qm_config *c = p->config;
    const size_t e = (size_t)c->d_inner;
    size_t widest = larger(2 * e, (size_t)c->d_model);
    widest = larger(widest, (size_t)c->dt_rank + 2 * (size_t)c->d_state);
    bool good = true;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
        const size_t n = rows_of(p->walk, (qm_trace_edge)i, &p->dtype[i]);
        p->n_cols[i] = qm_trace_edge_count((qm_trace_edge)i, c);
        if (n == 0) continue;
        p->data[i] = qm_alloc(n * p->n_cols[i], qm_dtype_size(p->dtype[i]));
        good = good && p->data[i];
    }
    p->codes = qm_alloc(widest, 1);
    p->row = qm_alloc(widest, sizeof(float));
    p->acc = qm_alloc(larger(widest, (size_t)c->n_vocab), sizeof(int32_t));
    p->taps = qm_alloc(2 * (size_t)c->d_conv * e, sizeof(float));
    p->pasts = qm_alloc((size_t)c->n_layer, sizeof *p->pasts);
    if (p->quantized) {
        p->rotation.signs = qm_alloc(QM_HADAMARD_MAX_M * QM_HADAMARD_MAX_M, 1);
        good = good && p->rotation.signs;
    }
    good = good && p->codes && p->row && p->acc && p->taps && p->pasts;
    for (int32_t i = 0; good && i < c->n_layer; i++)
        if (p->walk->plan->layers[i]) good = allocate_past(p, i);
    return good;
}

static void release(qm_trace_piece *p)
{
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++)
        free(p->data[i]);
    for (int32_t i = 0; p->pasts && i < p->config->n_layer; i++) {
        free(p->pasts[i].conv);
        free(p->pasts[i].scales);
        free(p->pasts[i].h);
    }
    free(p->codes);
    free(p->row);
    free(p->acc);
    free(p->taps);
    free(p->pasts);
    free(p->rotation.signs);
}

/* ---- against the runtime ----------------------------------------------------------------------
 */

static void differ(qm_trace_piece *p, qm_trace_edge edge, uint64_t token, size_t channel,
                   double ours, double theirs)
{
    p->status = qm_fail(&p->error, QUAMBA_E_FORMAT, token,
                        "layer %" PRId32 ", edge %s, token %" PRIu64 ", channel %zu: the operators "
                        "give %.9g, the runtime has %.9g: nothing is written; this is a defect of "
                        "the program, please report it",
                        p->layer, qm_trace_edge_name(edge), token, channel, ours, theirs);
}

/* Columns [first_col, ..) of a view against our rows from row on; n_rows of the view. */
static void compare(qm_trace_piece *p, qm_trace_edge edge, size_t row, const quamba_view *v,
                    size_t first_col)
{
    const size_t n = p->n_cols[edge];
    for (size_t r = 0; p->status == QUAMBA_OK && r < (size_t)v->n_rows; r++) {
        const size_t at = r * v->row_stride + first_col;
        const uint64_t token = p->first + row + r;
        if ((v->codes != NULL) != (p->dtype[edge] == QM_I8)) {
            differ(p, edge, token, 0, v->codes ? 0 : 1, v->codes ? 1 : 0);
        } else if (v->codes) {
            const int8_t *ours = qm_trace_codes(p, edge, row + r);
            for (size_t i = 0; p->status == QUAMBA_OK && i < n; i++)
                if (ours[i] != v->codes[at + i])
                    differ(p, edge, token, i, ours[i], v->codes[at + i]);
        } else {
            const float *ours = qm_trace_numbers(p, edge, row + r), *theirs = v->data + at;
            for (size_t i = 0; p->status == QUAMBA_OK && i < n; i++)
                if (qm_bits_f32(ours[i]) != qm_bits_f32(theirs[i]) &&
                    !(ours[i] != ours[i] && theirs[i] != theirs[i]))
                    differ(p, edge, token, i, (double)ours[i], (double)theirs[i]);
        }
    }
}

static void compare_state(qm_trace_piece *p, const quamba_view *v)
{
    const size_t e = (size_t)p->config->d_inner;
    for (size_t n = 0; p->status == QUAMBA_OK && n < (size_t)v->n_rows; n++)
        for (size_t d = 0; p->status == QUAMBA_OK && d < e; d++) {
            const float ours = p->past->h[n * e + d], theirs = v->data[n * v->row_stride + d];
            if (qm_bits_f32(ours) != qm_bits_f32(theirs) && !(ours != ours && theirs != theirs))
                differ(p, QM_AT_STATE_KEPT, v->position, n * e + d, (double)ours, (double)theirs);
        }
}

/* ---- the tap ----------------------------------------------------------------------------------
 */

quamba_status qm_trace_hand_over(const qm_trace_piece *p, qm_trace_edge edge, size_t row, size_t n,
                                 quamba_error *err)
{
    const size_t before =
        p->first + row < p->walk->plan->first ? p->walk->plan->first - p->first - row : 0;
    if (before >= n) return QUAMBA_OK;
    return p->walk->emit(p->walk->user, p->layer, edge, p->first + row + before, n - before,
                         qm_trace_row(p, edge, row + before), err);
}

static void begin_piece(qm_trace_piece *p, const quamba_view *v)
{
    p->layer = v->layer;
    p->l = &p->model->layers[v->layer];
    p->past = &p->pasts[v->layer];
    p->first = (size_t)v->position;
    p->n_rows = (size_t)v->n_rows;
    p->step = p->first >= p->walk->plan->n_prefill;
    p->conv_done = false;
    if (v->layer == 0) qm_trace_embed(p);
    qm_trace_norm(p);
}

/* The last inputs of the convolution, oldest first, so that a row is read before it is replaced. */
static void keep_inputs(const qm_trace_piece *p)
{
    const size_t before = (size_t)p->config->d_conv - 1;
    const size_t size = p->n_cols[QM_AT_CONV_IN] * qm_dtype_size(p->dtype[QM_AT_CONV_IN]);
    char *kept = p->past->conv;
    for (size_t k = 0; k < before; k++) {
        const size_t from = p->n_rows + k;
        memmove(kept + k * size,
                from < before ? kept + from * size
                              : (char *)qm_trace_row(p, QM_AT_CONV_IN, from - before),
                size);
        if (p->data[QM_AT_CONV_IN_SCALE])
            p->past->scales[k] = from < before
                                     ? p->past->scales[from]
                                     : *qm_trace_numbers(p, QM_AT_CONV_IN_SCALE, from - before);
    }
}

static void end_piece(qm_trace_piece *p)
{
    for (int32_t i = 0; p->status == QUAMBA_OK && i < QM_N_TRACE_EDGES; i++) {
        const qm_trace_edge edge = (qm_trace_edge)i;
        if (p->data[i] && !is_state(edge) && !qm_trace_edge_is_head(edge))
            p->status = qm_trace_hand_over(p, edge, 0, p->n_rows, &p->error);
    }
    keep_inputs(p);
}

/* The convolution's input and, once, all that follows from it. */
static void convolve(qm_trace_piece *p)
{
    if (p->conv_done) return;
    qm_trace_conv_in(p);
    qm_trace_conv(p);
    p->conv_done = true;
}

/* An edge of a layer that is wanted: the operators up to it, then the comparison. */
static void on_layer(qm_trace_piece *p, qm_edge edge, const quamba_view *v)
{
    switch (edge) {
    case QM_EDGE_NORM_OUT:
        begin_piece(p, v);
        compare(p, QM_AT_NORM_OUT, 0, v, 0);
        break;
    case QM_EDGE_IN_PROJ_OUT:
        qm_trace_in_proj(p);
        compare(p, QM_AT_IN_PROJ_X, 0, v, 0);
        if (v->n_cols > p->config->d_inner)
            compare(p, QM_AT_IN_PROJ_Z, 0, v, (size_t)p->config->d_inner);
        break;
    case QM_EDGE_CONV_IN: /* row by row */
        convolve(p);
        compare(p, QM_AT_CONV_IN, (size_t)v->position - p->first, v, 0);
        break;
    case QM_EDGE_CONV_OUT:
        convolve(p);
        compare(p, QM_AT_CONV_OUT, 0, v, 0);
        break;
    case QM_EDGE_X_PROJ_IN:
        compare(p, QM_AT_X_PROJ_IN, 0, v, 0);
        break;
    case QM_EDGE_SCAN_IN:
        compare(p, QM_AT_SCAN_IN, 0, v, 0);
        break;
    case QM_EDGE_X_PROJ_OUT:
        qm_trace_x_proj(p);
        compare(p, QM_AT_X_PROJ_OUT, 0, v, 0);
        break;
    case QM_EDGE_DT_PROJ_OUT:
        qm_trace_dt_proj(p);
        compare(p, QM_AT_DT_PROJ_OUT, 0, v, 0);
        break;
    case QM_EDGE_SCAN_OUT:
        p->status = qm_trace_scan(p, &p->error);
        compare(p, QM_AT_SCAN_OUT, 0, v, 0);
        break;
    case QM_EDGE_SSM_STATE:
        compare_state(p, v);
        break;
    case QM_EDGE_HADAMARD_OUT:
        qm_trace_rotate(p);
        compare(p, QM_AT_HADAMARD_OUT, 0, v, 0);
        break;
    case QM_EDGE_OUT_PROJ_OUT:
        qm_trace_out_proj(p);
        compare(p, QM_AT_OUT_PROJ_OUT, 0, v, 0);
        break;
    case QM_EDGE_RESIDUAL:
        qm_trace_residual(p);
        compare(p, QM_AT_RESIDUAL, 0, v, 0);
        if (p->status == QUAMBA_OK) end_piece(p);
        break;
    case QM_EDGE_NORM_F_OUT:
    case QM_EDGE_LOGITS:
    case QM_N_EDGES:
        break;
    }
}

/* The head of one row: the stream after the last layer is still where the next layer would read
 * it. */
static void on_head(qm_trace_piece *p, qm_edge edge, const quamba_view *v)
{
    const bool norm = edge == QM_EDGE_NORM_F_OUT;
    const qm_trace_edge ours = norm ? QM_AT_NORM_F_OUT : QM_AT_LOGITS;
    const size_t first = p->first, token = (size_t)v->position;
    p->layer = p->config->n_layer;
    if (norm)
        qm_trace_norm_f(p, qm_trace_numbers(p, QM_AT_RESIDUAL_IN, token - first));
    else
        qm_trace_logits(p);
    p->first = token; /* a piece of one row */
    compare(p, ours, 0, v, 0);
    if (p->status == QUAMBA_OK) p->status = qm_trace_hand_over(p, ours, 0, 1, &p->error);
    p->first = first;
}

/* The stream as the next layer reads it. */
static void keep_stream(qm_trace_piece *p, const quamba_view *v)
{
    p->first = (size_t)v->position;
    for (size_t r = 0; r < (size_t)v->n_rows; r++)
        memcpy(qm_trace_numbers(p, QM_AT_RESIDUAL_IN, r), v->data + r * v->row_stride,
               (size_t)v->n_cols * sizeof(float));
}

static bool is_cancelled(const qm_trace_walk *walk)
{
    return walk->watch->cancelled && walk->watch->cancelled(walk->watch->user);
}

static void on_edge(void *user, const quamba_view *v)
{
    qm_trace_piece *p = user;
    const qm_edge edge = qm_edge_of(v);
    if (p->status == QUAMBA_OK && edge == QM_EDGE_RESIDUAL && is_cancelled(p->walk))
        p->status = qm_fail(&p->error, QUAMBA_E_CANCELLED, v->position,
                            "interrupted at token %" PRIu64 " of %zu", v->position,
                            p->walk->plan->n_tokens);
    if (p->status != QUAMBA_OK) return;
    if (v->layer == p->config->n_layer) {
        if (p->walk->plan->layers[v->layer]) on_head(p, edge, v);
        return;
    }
    if (p->walk->plan->layers[v->layer]) on_layer(p, edge, v);
    if (edge == QM_EDGE_RESIDUAL && p->status == QUAMBA_OK && p->walk->plan->layers[v->layer + 1])
        keep_stream(p, v);
}

/* ---- the run ----------------------------------------------------------------------------------
 */

/* Tokens [first, first + n) in one call; positions whose logits are wanted get a target. */
static quamba_status feed(qm_trace_piece *p, quamba_session *s, size_t first, size_t n, bool decode,
                          int32_t *targets, quamba_logprob *logprobs, quamba_error *err)
{
    const qm_trace_walk *walk = p->walk;
    for (size_t i = 0; i < n; i++)
        targets[i] = first + i >= walk->plan->first ? 0 : -1;
    quamba_job job = {.session = s,
                      .tokens = walk->plan->tokens + first,
                      .n_tokens = n,
                      .decode = decode,
                      .targets = walk->plan->layers[p->config->n_layer] ? targets : NULL,
                      .logprobs = logprobs};
    quamba_status status = quamba_session_run(&job, 1, err);
    if (status != QUAMBA_OK || p->status == QUAMBA_OK) return status;
    if (err) *err = p->error;
    return p->status;
}

static quamba_status feed_all(qm_trace_piece *p, quamba_session *s, int32_t *targets,
                              quamba_logprob *logprobs, quamba_error *err)
{
    const qm_trace_walk *walk = p->walk;
    quamba_status status = QUAMBA_OK;
    for (size_t done = 0; status == QUAMBA_OK && done < walk->plan->n_tokens;) {
        const bool decode = done >= walk->plan->n_prefill;
        const size_t left = (decode ? walk->plan->n_tokens : walk->plan->n_prefill) - done;
        const size_t n = left < p->max_rows ? left : p->max_rows;
        status = feed(p, s, done, n, decode, targets, logprobs, err);
        done += n;
        if (walk->watch->progress)
            walk->watch->progress(walk->watch->user, done, walk->plan->n_tokens);
    }
    return status;
}

static quamba_status check(const qm_trace_walk *walk, quamba_error *err)
{
    const quamba_datapath *dp = walk->plan->model->datapath;
    if (walk->plan->model->grid || dp->conv_in_steps || (!dp->quantized && dp->rotated))
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "mode %s cannot be traced", dp->id);
    const uint64_t bytes = qm_trace_walk_bytes(walk);
    if (bytes > QM_TRACE_MAX_BYTES)
        return qm_fail(
            err, QUAMBA_E_LIMIT, bytes,
            "mode %s looks at the whole prompt: tracing %zu tokens of it takes %.1f GB, at "
            "most %.1f: trace a shorter text (--tokens) or prompt (--prefill)",
            dp->id, walk->plan->n_prefill, 1e-9 * (double)bytes, 1e-9 * (double)QM_TRACE_MAX_BYTES);
    if (walk->plan->n_tokens == 0 || walk->plan->n_prefill > walk->plan->n_tokens ||
        walk->plan->first >= walk->plan->n_tokens)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "tokens %zu .. %zu, %zu of them by prefill: there is nothing to trace",
                       walk->plan->first, walk->plan->n_tokens, walk->plan->n_prefill);
    return QUAMBA_OK;
}

quamba_status qm_trace_walk_run(const qm_trace_walk *walk, quamba_error *err)
{
    const quamba_model *m = walk->plan->model;
    quamba_status status = check(walk, err);
    if (status != QUAMBA_OK) return status;
    const int64_t cpu = qm_cpu_select(walk->watch->session.cpu);
    qm_trace_piece p = {.walk = walk,
                        .model = m,
                        .config = &m->config,
                        .knobs = &m->datapath->knobs,
                        .fast = qm_kernels_select(cpu < 0 ? 0 : (uint32_t)cpu),
                        .quantized = m->datapath->quantized,
                        .half = m->datapath->activation == QM_FORMAT_F16,
                        .max_rows = piece_rows(walk)};
    quamba_session *s = NULL;
    quamba_session_options options = walk->watch->session;
    options.max_rows = (int32_t)(p.max_rows < QM_MAX_ROWS ? p.max_rows : QM_MAX_ROWS);
    options.tap = on_edge;
    options.tap_user = &p;
    int32_t *targets = qm_alloc(p.max_rows, sizeof *targets);
    quamba_logprob *logprobs = qm_alloc(p.max_rows, sizeof *logprobs);
    if (!allocate(&p) || !targets || !logprobs)
        status =
            qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory: %.1f MB for %zu tokens at a time%s",
                    1e-6 * (double)qm_trace_walk_bytes(walk), p.max_rows,
                    p.max_rows > QM_TRACE_PIECE ? ": the mode looks at the whole prompt, so a "
                                                  "shorter --prefill needs less"
                                                : "");
    if (status == QUAMBA_OK && p.quantized) {
        qm_hadamard_split(m->config.d_inner, &p.rotation.m, &p.rotation.width);
        qm_hadamard_signs(p.rotation.m, p.rotation.signs);
    }
    if (status == QUAMBA_OK) status = quamba_session_new(&s, m, &options, err);
    if (status == QUAMBA_OK) status = feed_all(&p, s, targets, logprobs, err);
    quamba_session_free(&s);
    release(&p);
    free(targets);
    free(logprobs);
    return status;
}
