/* The forward pass.  One parallel region runs the whole of it; each thread owns a range of output
 * channels (or rows) of every stage and waits for the others only where it needs their part.  No
 * sum is split between threads, so their number does not show in any bit. */
#include "base/fmath.h"
#include "runtime/barrier.h"
#include "runtime/edges.h"
#include "runtime/session.h"

#include <omp.h>
#include <string.h>

enum {
    CHANNEL_ALIGN = 16, /* floats in a cache line */
    HEAD_CHUNK = 512    /* outputs of the head that a thread takes at a time: the largest matrix by
                           far, so one thread that is held up must not hold up all */
};

/* What every stage needs to know, one per thread. */
typedef struct qm_thread {
    const quamba_session *s; /* whose scratch, kernels and model are used */
    const qm_pass *pass;
    bool half;   /* round every operator's output to half */
    bool tapped; /* some session of the pass is watched */
    int32_t id, n_threads;
    qm_barrier *barrier;
    _Atomic int32_t *next_output; /* of the head: threads take its outputs in turn */
    float *panel;
} qm_thread;

typedef struct qm_range {
    int32_t begin, end;
} qm_range;

/* This thread's part of n things, in multiples of align. */
static qm_range share(const qm_thread *t, int32_t n, int32_t align)
{
    int64_t units = (n + align - 1) / align;
    int64_t begin = units * t->id / t->n_threads * align;
    int64_t end = units * (t->id + 1) / t->n_threads * align;
    return (qm_range){(int32_t)(begin < n ? begin : n), (int32_t)(end < n ? end : n)};
}

static void barrier(const qm_thread *t) { qm_barrier_wait(t->barrier, (uint32_t)t->n_threads); }

static void round_rows(const qm_thread *t, float *y, size_t ld, int32_t n_rows, int32_t n)
{
    for (int32_t i = 0; t->half && i < n_rows; i++)
        t->s->kernels.round_f16(y + (size_t)i * ld, (size_t)n);
}

/* Shows one row range of an edge to the session's tap, if it has one. */
static void show_rows(const qm_segment *seg, qm_edge edge, int32_t layer, int32_t row,
                      int32_t n_rows, const float *data, size_t ld, int32_t n_cols)
{
    if (!seg->session->tap) return;
    quamba_view view = {.edge = quamba_edge_name((int32_t)edge),
                        .layer = layer,
                        .position = seg->session->position + (uint64_t)(row - seg->first_row),
                        .n_rows = n_rows,
                        .n_cols = n_cols,
                        .row_stride = ld,
                        .data = data};
    seg->session->tap(seg->session->tap_user, &view);
}

/* Shows an edge of all segments: all threads meet, one calls. */
static void show(const qm_thread *t, qm_edge edge, int32_t layer, const float *data, size_t ld,
                 int32_t n_cols)
{
    if (!t->tapped) return;
    barrier(t);
    for (int32_t i = 0; t->id == 0 && i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        show_rows(seg, edge, layer, seg->first_row, seg->n_rows, data + (size_t)seg->first_row * ld,
                  ld, n_cols);
    }
    barrier(t);
}

static void matvec(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n, float *y,
                   const float *x)
{
    size_t k = (size_t)w->n_in, skip = (size_t)first * k;
    const qm_kernels *kernels = &t->s->kernels;
    if (w->dtype == QM_F32)
        kernels->matvec_f32(y, (const float *)w->weight + skip, x, (size_t)n, k);
    else if (w->dtype == QM_F16)
        kernels->matvec_f16(y, (const uint16_t *)w->weight + skip, x, (size_t)n, k);
    else
        kernels->matvec_bf16(y, (const uint16_t *)w->weight + skip, x, (size_t)n, k);
}

/* Asks for the beginning of rows first .. first+n of w, which this thread reads after the next
 * barrier: a decode step waits for memory, and what arrives while threads wait for each other is
 * time won.  A matvec reads four streams, a quarter of the rows apart. */
static void foresee(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n)
{
    enum { LINE = 64, AHEAD = 8192 };
    if (t->pass->n_rows > 1) return;
    const size_t row = (size_t)w->n_in * qm_dtype_size(w->dtype), quarter = (size_t)n / 4 * row;
    const size_t size = quarter < AHEAD ? quarter : AHEAD;
    const char *at = (const char *)w->weight + (size_t)first * row;
    for (size_t stream = 0; stream < 4; stream++)
        for (size_t i = 0; i < size; i += LINE)
            __builtin_prefetch(at + stream * quarter + i, 0, 2);
}

/* Rows first .. first+n of w as FP32: in place, or widened into this thread's panel. */
static const float *widen(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n)
{
    size_t skip = (size_t)first * (size_t)w->n_in, count = (size_t)n * (size_t)w->n_in;
    if (w->dtype == QM_F32) return (const float *)w->weight + skip;
    const uint16_t *half = (const uint16_t *)w->weight + skip;
    if (w->dtype == QM_F16)
        t->s->kernels.widen_f16(t->panel, half, count);
    else
        t->s->kernels.widen_bf16(t->panel, half, count);
    return t->panel;
}

/* y[i][j] = (w x[i])[first + j] for j < n, then rounded if the datapath rounds. */
static void linear(const qm_thread *t, const qm_linear *w, int32_t first, int32_t n, float *y,
                   size_t ldy, const float *x, size_t ldx, int32_t n_rows)
{
    if (n_rows == 1) {
        matvec(t, w, first, n, y, x);
    } else {
        for (int32_t j = 0; j < n; j += QM_PANEL_ROWS) {
            int32_t width = n - j < QM_PANEL_ROWS ? n - j : QM_PANEL_ROWS;
            const float *panel = widen(t, w, first + j, width);
            t->s->kernels.matmul_f32(y + j, ldy, panel, x, ldx, (size_t)n_rows, (size_t)width,
                                     (size_t)w->n_in);
        }
    }
    round_rows(t, y, ldy, n_rows, n);
}

static void embed(const qm_thread *t)
{
    const qm_linear *w = &t->s->model->embedding;
    size_t d = (size_t)w->n_in;
    qm_range rows = share(t, t->pass->n_rows, 1);
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        for (int32_t r = 0; r < seg->n_rows; r++) {
            int32_t row = seg->first_row + r;
            if (row < rows.begin || row >= rows.end) continue;
            float *out = t->s->residual + (size_t)row * d;
            size_t at = (size_t)seg->tokens[r] * d;
            if (w->dtype == QM_F32)
                memcpy(out, (const float *)w->weight + at, d * sizeof *out);
            else if (w->dtype == QM_F16)
                t->s->kernels.widen_f16(out, (const uint16_t *)w->weight + at, d);
            else
                t->s->kernels.widen_bf16(out, (const uint16_t *)w->weight + at, d);
        }
    }
}

static void norm_rows(const qm_thread *t, const float *weight)
{
    const qm_config *c = &t->s->model->config;
    size_t d = (size_t)c->d_model;
    qm_range rows = share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *out = t->s->hidden + (size_t)i * d;
        t->s->kernels.rms_norm_f32(out, t->s->residual + (size_t)i * d, weight, (float)c->norm_eps,
                                   d);
        round_rows(t, out, d, 1, c->d_model);
    }
}

/* Convolution and SiLU of one segment on channels [begin, end), and the inputs it leaves behind. */
static void convolve(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const qm_config *c = &t->s->model->config;
    const qm_layer *l = &t->s->model->layers[layer];
    size_t e = (size_t)c->d_inner, width = (size_t)c->d_conv, n = (size_t)(range.end - range.begin);
    float *state = seg->session->conv_state + (size_t)layer * width * e + range.begin;
    const float *x = t->s->xz + (size_t)seg->first_row * 2 * e + range.begin;
    const float *taps[QM_MAX_CONV];
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        for (size_t k = 0; k < width;
             k++) /* token r - (width-1) + k, before the segment: the state */
            taps[k] = r + k + 1 < width ? state + (r + k + 1) * e : x + (r + k + 1 - width) * 2 * e;
        float *out = t->s->conv + ((size_t)seg->first_row + r) * e + range.begin;
        t->s->kernels.conv_f32(out, taps, l->conv + range.begin, e, l->conv_bias + range.begin, n,
                               width);
        t->s->kernels.silu_f32(out, n);
        if (t->half) t->s->kernels.round_f16(out, n);
    }
    for (size_t k = 0; k < width; k++) { /* oldest first, so a row is read before it is replaced */
        size_t from = (size_t)seg->n_rows + k; /* in state rows, then in new rows */
        const float *source = from < width ? state + from * e : x + (from - width) * 2 * e;
        memmove(state + k * e, source, n * sizeof(float));
    }
}

/* Time step, scan and gate of one segment on channels [begin, end); y replaces x in xz. */
static void scan(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const qm_config *c = &t->s->model->config;
    const qm_kernels *kernels = &t->s->kernels;
    const quamba_datapath *dp = t->s->model->datapath;
    const qm_layer *l = &t->s->model->layers[layer];
    size_t e = (size_t)c->d_inner, n_state = (size_t)c->d_state,
           n = (size_t)(range.end - range.begin);
    size_t first = (size_t)seg->first_row, at = (size_t)range.begin;
    size_t ld_bc = (size_t)c->dt_rank + 2 * n_state;
    float *state = seg->session->ssm_state + (size_t)layer * n_state * e + at;
    bool half_state = seg->decode && dp->step_state == QM_FORMAT_F16;
    if (half_state) /* a prefill leaves FP32; a stepping device keeps it in half */
        for (size_t k = 0; k < n_state; k++)
            kernels->round_f16(state + k * e, n);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        float *delta = t->s->delta + (first + r) * e + at;
        if (seg->decode && !dp->step_log1p)
            kernels->softplus_log_f32(delta, l->dt_bias + at, n);
        else
            kernels->softplus_f32(delta, l->dt_bias + at, n);
    }
    float *y = t->s->xz + first * 2 * e + at;
    const float *bc = t->s->x_dbl + first * ld_bc + (size_t)c->dt_rank;
    kernels->scan_f32(&(qm_scan_f32_args){.y = y,
                                          .h = state,
                                          .u = t->s->conv + first * e + at,
                                          .delta = t->s->delta + first * e + at,
                                          .a = l->a + at,
                                          .b = bc,
                                          .c = bc + n_state,
                                          .d = l->d + at,
                                          .ld_y = 2 * e,
                                          .ld_u = e,
                                          .ld_delta = e,
                                          .ld_bc = ld_bc,
                                          .ld_state = e,
                                          .n_rows = (size_t)seg->n_rows,
                                          .n = n,
                                          .d_state = n_state});
    for (size_t r = 0; r < (size_t)seg->n_rows; r++)
        kernels->gate_f32(y + r * 2 * e, y + r * 2 * e + e, n);
    round_rows(t, y, 2 * e, seg->n_rows, (int32_t)n);
    for (size_t k = 0; half_state && k < n_state; k++)
        kernels->round_f16(state + k * e, n);
}

static void run_layer(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const int32_t e = c->d_inner, d = c->d_model, n_bc = c->dt_rank + 2 * c->d_state;
    const size_t ld_xz = 2 * (size_t)e;
    const qm_range channels = share(t, e, CHANNEL_ALIGN), outputs = share(t, d, CHANNEL_ALIGN);
    const qm_range part = share(t, n_bc, 1);
    const int32_t n = channels.end - channels.begin;

    foresee(t, &l->in_proj, channels.begin, n);
    norm_rows(t, l->norm);
    barrier(t);
    show(t, QM_EDGE_NORM_OUT, layer, s->hidden, (size_t)d, d);
    for (int32_t half = 0; half < 2; half++) /* this thread's channels of x, then of z */
        linear(t, &l->in_proj, half * e + channels.begin, n, s->xz + half * e + channels.begin,
               ld_xz, s->hidden, (size_t)d, t->pass->n_rows);
    show(t, QM_EDGE_IN_PROJ_OUT, layer, s->xz, ld_xz, 2 * e);
    foresee(t, &l->x_proj, part.begin, part.end - part.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        convolve(t, &t->pass->segments[i], layer, channels);
    barrier(t);
    show(t, QM_EDGE_CONV_OUT, layer, s->conv, (size_t)e, e);
    /* x_proj has few outputs: share the rows when there are many, else the outputs. */
    if (t->pass->n_rows >= QM_PANEL_ROWS) {
        qm_range rows = share(t, t->pass->n_rows, 1);
        linear(t, &l->x_proj, 0, n_bc, s->x_dbl + (size_t)rows.begin * (size_t)n_bc, (size_t)n_bc,
               s->conv + (size_t)rows.begin * (size_t)e, (size_t)e, rows.end - rows.begin);
    } else {
        linear(t, &l->x_proj, part.begin, part.end - part.begin, s->x_dbl + part.begin,
               (size_t)n_bc, s->conv, (size_t)e, t->pass->n_rows);
    }
    foresee(t, &l->dt_proj, channels.begin, n);
    barrier(t);
    show(t, QM_EDGE_X_PROJ_OUT, layer, s->x_dbl, (size_t)n_bc, n_bc);
    linear(t, &l->dt_proj, channels.begin, n, s->delta + channels.begin, (size_t)e, s->x_dbl,
           (size_t)n_bc, t->pass->n_rows);
    show(t, QM_EDGE_DT_PROJ_OUT, layer, s->delta, (size_t)e, e);
    foresee(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        scan(t, &t->pass->segments[i], layer, channels);
    barrier(t);
    show(t, QM_EDGE_SCAN_OUT, layer, s->xz, ld_xz, e);
    linear(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin, s->hidden + outputs.begin,
           (size_t)d, s->xz, ld_xz, t->pass->n_rows);
    show(t, QM_EDGE_OUT_PROJ_OUT, layer, s->hidden, (size_t)d, d);
    for (int32_t r = 0; r < t->pass->n_rows; r++)
        for (int32_t i = outputs.begin; i < outputs.end; i++)
            s->residual[(size_t)r * (size_t)d + (size_t)i] +=
                s->hidden[(size_t)r * (size_t)d + (size_t)i];
    barrier(t);
    show(t, QM_EDGE_RESIDUAL, layer, s->residual, (size_t)d, d);
}

/* log softmax of the target; the largest logit is subtracted first, the lowest id wins a tie. */
static quamba_logprob score(const qm_kernels *kernels, const float *logits, int32_t n,
                            int32_t target)
{
    enum { CHUNK = 4096 }; /* summed in float, the chunks in double */
    quamba_logprob p = {.argmax = 0};
    float best = logits[0];
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > best) best = logits[p.argmax = i];
    double sum = 0;
    for (int32_t i = 0; i < n; i += CHUNK)
        sum +=
            (double)kernels->sum_exp_f32(logits + i, best, (size_t)(n - i < CHUNK ? n - i : CHUNK));
    p.logsumexp = (double)best + qm_log64(sum);
    p.logprob = (double)logits[target] - p.logsumexp;
    return p;
}

/* Final norm and head for the wanted rows, a group at a time; hidden holds the group's norm output,
 * packed. */
static void run_heads(const qm_thread *t)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const size_t d = (size_t)c->d_model, v = (size_t)c->n_vocab;
    for (int32_t first = 0; first < t->pass->n_heads; first += QM_SCORE_ROWS) {
        const qm_head_row *group = t->pass->heads + first;
        int32_t left = t->pass->n_heads - first, n = left < QM_SCORE_ROWS ? left : QM_SCORE_ROWS;
        for (int32_t i = t->id; i < n; i += t->n_threads) {
            float *out = s->hidden + (size_t)i * d;
            s->kernels.rms_norm_f32(out, s->residual + (size_t)group[i].row * d, s->model->norm_f,
                                    (float)c->norm_eps, d);
            round_rows(t, out, d, 1, c->d_model);
        }
        barrier(t);
        /* One row goes straight to where it is wanted: a generated token needs no other memory. */
        float *out = n == 1 && group[0].logits ? group[0].logits : s->scores;
        for (int32_t begin; (begin = atomic_fetch_add(t->next_output, HEAD_CHUNK)) < c->n_vocab;) {
            int32_t count = c->n_vocab - begin < HEAD_CHUNK ? c->n_vocab - begin : HEAD_CHUNK;
            linear(t, &s->model->head, begin, count, out + begin, v, s->hidden, d, n);
        }
        barrier(t);
        if (t->id == 0) atomic_store(t->next_output, 0);
        for (int32_t i = t->id; i < n; i += t->n_threads) {
            const float *logits = out + (size_t)i * v;
            if (group[i].logits && group[i].logits != logits)
                memcpy(group[i].logits, logits, v * sizeof *logits);
            if (group[i].target >= 0)
                *group[i].logprob = score(&s->kernels, logits, c->n_vocab, group[i].target);
        }
        for (int32_t i = 0; t->id == 0 && i < n; i++) {
            show_rows(group[i].segment, QM_EDGE_NORM_F_OUT, c->n_layer, group[i].row, 1,
                      s->hidden + (size_t)i * d, d, c->d_model);
            show_rows(group[i].segment, QM_EDGE_LOGITS, c->n_layer, group[i].row, 1,
                      out + (size_t)i * v, v, c->n_vocab);
        }
        barrier(t);
    }
}

void qm_forward(const quamba_session *owner, const qm_pass *pass)
{
    const qm_config *c = &owner->model->config;
    const size_t widest = (size_t)(c->d_inner > c->d_model ? c->d_inner : c->d_model);
    qm_barrier meeting = {0};
    _Atomic int32_t next_output = 0;
    bool tapped = false;
    for (int32_t i = 0; i < pass->n_segments; i++)
        tapped = tapped || pass->segments[i].session->tap;
#pragma omp parallel num_threads(owner->options.n_threads)
    {
        const qm_thread t = {.s = owner,
                             .pass = pass,
                             .half = owner->model->datapath->activation == QM_FORMAT_F16,
                             .tapped = tapped,
                             .id = omp_get_thread_num(),
                             .n_threads = omp_get_num_threads(),
                             .barrier = &meeting,
                             .next_output = &next_output,
                             .panel = owner->panel +
                                      (size_t)omp_get_thread_num() * QM_PANEL_ROWS * widest};
        embed(&t);
        barrier(&t);
        for (int32_t layer = 0; layer < c->n_layer; layer++)
            run_layer(&t, layer);
        run_heads(&t);
    }
    for (int32_t i = 0; i < pass->n_segments; i++)
        pass->segments[i].session->position += (uint64_t)pass->segments[i].n_rows;
}
