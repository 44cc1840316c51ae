/* The forward pass: embedding, layers, final norm and head. */
#include "base/fmath.h"
#include "runtime/pass.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static void embed(const qm_thread *t)
{
    const qm_linear *w = &t->s->model->embedding;
    size_t d = (size_t)w->n_in;
    qm_range rows = qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        for (int32_t r = 0; r < seg->n_rows; r++) {
            int32_t row = seg->first_row + r;
            if (row < rows.begin || row >= rows.end) continue;
            float *out = t->s->residual + (size_t)row * d;
            size_t at = (size_t)seg->tokens[r] * d;
            if (w->dtype == QM_I8) {
                t->s->kernels.dequantize_i8(out, (const int8_t *)w->weight + at,
                                            t->s->model->embedding_scales[seg->tokens[r]], d);
                qm_round_rows(t, out, d, 1, w->n_in);
            } else if (w->dtype == QM_F32)
                memcpy(out, (const float *)w->weight + at, d * sizeof *out);
            else if (w->dtype == QM_F16)
                t->s->kernels.widen_f16(out, (const uint16_t *)w->weight + at, d);
            else
                t->s->kernels.widen_bf16(out, (const uint16_t *)w->weight + at, d);
        }
    }
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

/* Final norm of one row of residual into hidden, and into codes where the head multiplies codes. */
static void norm_head_row(const qm_thread *t, const qm_head_row *row, float *hidden, int8_t *codes)
{
    const quamba_model *m = t->s->model;
    const qm_kernels *kernels = &t->s->kernels;
    const size_t d = (size_t)m->config.d_model;
    kernels->rms_norm_f32(hidden, t->s->residual + (size_t)row->row * d, m->norm_f,
                          (float)m->config.norm_eps, d);
    if (m->norm_f_kind == QM_NORM_F_DEQUANT) {
        float largest = 0.0f;
        for (size_t i = 0; i < d; i++)
            largest = fmaxf(largest, fabsf(hidden[i]));
        const float step = largest / 127.0f;
        if (step > 0.0f) {
            kernels->quantize_even_i8(codes, hidden, step, d);
            kernels->dequantize_i8(hidden, codes, step, d);
        }
    }
    if (m->head.dtype != QM_I8) {
        qm_round_rows(t, hidden, d, 1, m->config.d_model);
        return;
    }
    const float scale = m->norm_f_kind == QM_NORM_F_CODES ? m->norm_f_scale : m->head.a;
    qm_count_lost(t, row->row, QM_EDGE_NORM_F_OUT, m->config.n_layer,
                  kernels->quantize_even_i8(codes, hidden, scale, d));
}

/* Logits [first, first + n) of the rows in hidden or codes. */
static void multiply_head(const qm_thread *t, int32_t first, int32_t n, float *out, int32_t n_rows)
{
    const quamba_model *m = t->s->model;
    const size_t d = (size_t)m->config.d_model, v = (size_t)m->config.n_vocab;
    if (m->head.dtype == QM_I8)
        qm_linear_numbers(t, &m->head, m->head.a, true, first, n, out + first, v, t->s->codes.norm,
                          d, n_rows);
    else
        qm_linear_float(t, &m->head, first, n, out + first, v, t->s->hidden, d, n_rows);
    if (!m->head_bias) return;
    for (int32_t i = 0; i < n_rows; i++)
        for (int32_t j = first; j < first + n; j++)
            out[(size_t)i * v + (size_t)j] += m->head_bias[j];
    qm_round_rows(t, out + first, v, n_rows, n);
}

/* Shows final norm and logits of a group of rows. */
static void show_heads(const qm_thread *t, const qm_head_row *group, int32_t n, const float *logits)
{
    const quamba_model *m = t->s->model;
    const size_t d = (size_t)m->config.d_model, v = (size_t)m->config.n_vocab;
    const bool codes = m->head.dtype == QM_I8;
    const float scale = m->norm_f_kind == QM_NORM_F_CODES ? m->norm_f_scale : m->head.a;
    for (int32_t i = 0; i < n; i++) {
        qm_show_row(group[i].segment, QM_EDGE_NORM_F_OUT, m->config.n_layer, group[i].row,
                    codes ? NULL : t->s->hidden + (size_t)i * d,
                    codes ? t->s->codes.norm + (size_t)i * d : NULL, codes ? scale : 0.0f,
                    m->config.d_model);
        qm_show_row(group[i].segment, QM_EDGE_LOGITS, m->config.n_layer, group[i].row,
                    logits + (size_t)i * v, NULL, 0.0f, m->config.n_vocab);
    }
}

/* Final norm and head for the wanted rows, a group at a time; hidden (or the codes) holds the
 * group's norm output, packed. */
static void run_heads(const qm_thread *t)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const size_t d = (size_t)c->d_model, v = (size_t)c->n_vocab;
    for (int32_t first = 0; first < t->pass->n_heads; first += QM_SCORE_ROWS) {
        const qm_head_row *group = t->pass->heads + first;
        int32_t left = t->pass->n_heads - first, n = left < QM_SCORE_ROWS ? left : QM_SCORE_ROWS;
        for (int32_t i = t->id; i < n; i += t->n_threads)
            norm_head_row(t, &group[i], s->hidden + (size_t)i * d,
                          c->quantized ? s->codes.norm + (size_t)i * d : NULL);
        qm_meet(t);
        /* One row goes straight to where it is wanted: a generated token needs no other memory. */
        float *out = n == 1 && group[0].logits ? group[0].logits : s->scores;
        for (int32_t begin;
             (begin = atomic_fetch_add(t->next_output, QM_HEAD_CHUNK)) < c->n_vocab;) {
            int32_t count = c->n_vocab - begin < QM_HEAD_CHUNK ? c->n_vocab - begin : QM_HEAD_CHUNK;
            multiply_head(t, begin, count, out, n);
        }
        qm_meet(t);
        if (t->id == 0) atomic_store(t->next_output, 0);
        for (int32_t i = t->id; i < n; i += t->n_threads) {
            const float *logits = out + (size_t)i * v;
            if (group[i].logits && group[i].logits != logits)
                memcpy(group[i].logits, logits, v * sizeof *logits);
            if (group[i].target >= 0)
                *group[i].logprob = score(&s->kernels, logits, c->n_vocab, group[i].target);
        }
        if (t->id == 0) show_heads(t, group, n, out);
        qm_meet(t);
    }
}

/* What a thread of the pass knows and owns. */
static qm_thread thread_of(const quamba_session *owner, const qm_pass *pass, qm_barrier *meeting,
                           _Atomic int32_t *next_output, bool tapped)
{
    const qm_config *c = &owner->model->config;
    const size_t id = (size_t)omp_get_thread_num(), max_rows = (size_t)owner->options.max_rows;
    qm_thread t = {.s = owner,
                   .pass = pass,
                   .half = owner->model->datapath->activation == QM_FORMAT_F16,
                   .tapped = tapped,
                   .id = (int32_t)id,
                   .n_threads = omp_get_num_threads(),
                   .barrier = meeting,
                   .next_output = next_output,
                   .panel = owner->panel + id * qm_panel_floats(c)};
    if (owner->z) t.z = owner->z + id * (size_t)c->d_inner;
    if (c->quantized) {
        t.acc = owner->acc + id * qm_acc_count(c, owner->options.max_rows);
        t.lost = owner->lost_rows + id * max_rows;
        t.bc = owner->bc + id * max_rows * 2 * (size_t)c->d_state;
        if (owner->deq) t.deq = owner->deq + id * 2 * (size_t)c->d_conv * (size_t)c->d_inner;
        if (owner->rates) t.rates = owner->rates + id * (size_t)c->d_state * (size_t)c->d_inner;
        t.state_codes = owner->state_codes + id * (size_t)c->d_inner;
    }
    return t;
}

/* The segments of some rows of a pass, which are numbered from 0 on; *goes_on: the first one was
 * begun by the rows before. */
static qm_pass cut(const qm_thread *t, qm_range rows, bool *goes_on)
{
    int32_t i = 0;
    while (t->pass->segments[i].first_row + t->pass->segments[i].n_rows <= rows.begin)
        i++;
    /* n threads cut n - 1 segments in two at most: each thread's list ends before the next begins
     */
    *goes_on = t->pass->segments[i].first_row < rows.begin;
    qm_pass own = {.segments = t->s->cuts + i + t->id, .n_rows = rows.end - rows.begin};
    for (; i < t->pass->n_segments && t->pass->segments[i].first_row < rows.end; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        const int32_t last = seg->first_row + seg->n_rows;
        const int32_t from = seg->first_row > rows.begin ? seg->first_row : rows.begin;
        own.segments[own.n_segments++] =
            (qm_segment){.session = seg->session,
                         .tokens = seg->tokens + (from - seg->first_row),
                         .first_row = from - rows.begin,
                         .n_rows = (last < rows.end ? last : rows.end) - from,
                         .decode = seg->decode};
    }
    return own;
}

/* Whether threads go through a pass with rows of their own: then they share no activations, which
 * travel slowly between processors without a common cache, and hardly wait.  Each reads all
 * weights, so there must be rows for them.  A tap sees all rows, as some datapaths do. */
static bool has_rows_for_all(const quamba_session *owner, const qm_pass *pass, bool tapped)
{
    enum { EACH = 32 };
    return owner->model->config.quantized && !tapped && owner->options.n_threads > 1 &&
           pass->n_rows / owner->options.n_threads >= EACH &&
           !qm_sees_whole_prompt(owner->model->datapath);
}

/* Embedding and layers of this thread's rows. */
static void run_rows(const qm_thread *t)
{
    enum { STEP = 4 }; /* rows that products like to have together */
    const qm_range rows = qm_share(t, t->pass->n_rows, STEP);
    if (rows.begin == rows.end) return;
    const quamba_session view = qm_session_from_row(t->s, rows.begin);
    bool goes_on;
    const qm_pass pass = cut(t, rows, &goes_on);
    qm_barrier alone = {0};
    qm_thread own = *t;
    own.s = &view;
    own.pass = &pass;
    own.id = 0;
    own.n_threads = 1;
    own.barrier = &alone;
    own.handed_on = t->s->handed_on + (size_t)t->id * QM_APART;
    own.awaited = goes_on ? own.handed_on - QM_APART : NULL;
    embed(&own);
    for (int32_t layer = 0; layer < t->s->model->config.n_layer; layer++)
        qm_mix_w8a8(&own, layer);
}

void qm_forward(const quamba_session *owner, const qm_pass *pass)
{
    const qm_config *c = &owner->model->config;
    qm_barrier meeting = {0};
    _Atomic int32_t next_output = 0;
    bool tapped = false;
    for (int32_t i = 0; i < pass->n_segments; i++)
        tapped = tapped || pass->segments[i].session->tap;
    const bool by_rows = has_rows_for_all(owner, pass, tapped);
    for (int32_t i = 0; by_rows && i < owner->options.n_threads; i++)
        atomic_store(&owner->handed_on[(size_t)i * QM_APART], 0);
#pragma omp parallel num_threads(owner->options.n_threads)
    {
        const qm_thread t = thread_of(owner, pass, &meeting, &next_output, tapped);
        if (by_rows) {
            run_rows(&t);
            qm_meet(&t);
        } else {
            embed(&t);
            qm_meet(&t);
            for (int32_t layer = 0; layer < c->n_layer; layer++)
                if (c->quantized)
                    qm_mix_w8a8(&t, layer);
                else
                    qm_mix_float(&t, layer);
        }
        run_heads(&t);
    }
    for (int32_t i = 0; i < pass->n_segments; i++) {
        quamba_session *s = pass->segments[i].session;
        s->position += (uint64_t)pass->segments[i].n_rows;
        s->on_grid = pass->segments[i].decode;
    }
}
