#include "eval/compare.h"

#include "base/mem.h"
#include "eval/compare_frame.h"
#include "eval/compare_logits.h"
#include "eval/compare_record.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct comparing comparing;

/* One run while it works. */
typedef struct runner {
    comparing *all;
    size_t index;
    qm_compared_run *out;
    quamba_session *session;
    qm_frame frame;
    float *first_row;          /* [largest row]: the first run's values, where it has codes */
    quamba_logprob *predicted; /* [QM_PIECE_TOKENS] */
    bool counts;               /* this time its predictions count */
    quamba_status status;
    quamba_error error;
} runner;

struct comparing {
    const qm_compare_options *options;
    qm_comparison *out;
    runner *runners; /* [n_runs] */
    size_t n_others; /* that run side by side */
    qm_record record;
    double *log_sums;       /* [QM_PIECE_TOKENS]: of the first run's logits */
    int32_t *targets;       /* [QM_PIECE_TOKENS] */
    size_t piece, position; /* of the piece being run: its number, its first position */
};

/* ---- rows as they come ------------------------------------------------------------------------
 */

static void compare_logits(runner *r, size_t row, const qm_row *first, const qm_row *other)
{
    comparing *all = r->all;
    if (!r->counts || row >= QM_PIECE_TOKENS) return;
    if (r->index == 0) all->log_sums[row] = qm_log_sum_exp(first->values, first->n);
    const double own = r->index == 0 ? all->log_sums[row] : qm_log_sum_exp(other->values, other->n);
    r->out->divergence[all->position + row] =
        qm_kl_divergence(first->values, all->log_sums[row], other->values, own, first->n);
}

static void take_row(void *user, qm_edge edge, int32_t layer, size_t row, const qm_row *values)
{
    runner *r = user;
    comparing *all = r->all;
    const bool head = edge == QM_EDGE_LOGITS;
    if (head) layer = all->out->n_layer; /* a model of another shape has another number there */
    qm_edge_stats *stats = &r->out->edges[(size_t)layer * QM_N_EDGES + (size_t)edge];
    qm_row other = *values, first;
    if (r->index == 0) {
        qm_record_add(&all->record, edge, layer, row, values);
        first = other;
    }
    qm_edge_see(stats, values);
    if (r->index > 0 && !qm_record_row(&all->record, edge, layer, row, r->first_row, &first))
        return;
    if (other.n < first.n) first.n = other.n; /* x alone, where z is no code: x is compared */
    other.n = first.n;
    qm_edge_compare(stats, &first, &other, all->piece, row);
    if (head) compare_logits(r, row, &first, &other);
}

static void on_edge(void *user, const quamba_view *view)
{
    runner *r = user;
    qm_frame_show(&r->frame, view);
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* Feeds the piece to one run, layers begin .. end - 1 being watched. */
static void run_piece(runner *r, int32_t begin, int32_t end)
{
    const comparing *all = r->all;
    const qm_sample *s = all->options->sample;
    const size_t n = qm_piece_size(s, all->piece);
    const bool head = end > all->out->n_layer;
    const int32_t own_layers = r->session->model->config.n_layer;
    r->frame.begin = r->frame.only_logits ? (head ? own_layers : own_layers + 1) : begin;
    r->frame.end = r->frame.only_logits ? own_layers + 1 : end;
    r->counts = head;
    quamba_session_reset(r->session);
    quamba_job job = {.session = r->session,
                      .tokens = s->ids + s->starts[all->piece],
                      .n_tokens = n,
                      .targets = all->targets,
                      .logprobs = r->predicted};
    r->status = quamba_session_run(&job, 1, &r->error);
    for (size_t i = 0; head && r->status == QUAMBA_OK && i < n; i++)
        r->out->n_same_top += r->predicted[i].argmax == all->runners[0].predicted[i].argmax;
}

/* One piece through layers begin .. end - 1 of all runs: the first, then the others beside each
 * other. */
static quamba_status run_layers(comparing *all, int32_t begin, int32_t end, quamba_error *err)
{
    const size_t n_runs = all->options->n_runs;
    run_piece(&all->runners[0], begin, end);
    if (all->runners[0].status == QUAMBA_OK && all->record.failed)
        return qm_fail(err, QUAMBA_E_NOMEM, 0, "out of memory for the edges of the first run");
    if (all->runners[0].status == QUAMBA_OK) {
#pragma omp parallel for num_threads((int)all->n_others) schedule(dynamic)
        for (size_t i = 1; i < n_runs; i++)
            run_piece(&all->runners[i], begin, end);
    }
    for (size_t i = 0; i < n_runs; i++)
        if (all->runners[i].status != QUAMBA_OK) {
            if (err) *err = all->runners[i].error;
            return all->runners[i].status;
        }
    return QUAMBA_OK;
}

/* ---- setting up -------------------------------------------------------------------------------
 */

static bool same_shape(const qm_config *a, const qm_config *b)
{
    return a->n_layer == b->n_layer && a->d_model == b->d_model && a->d_inner == b->d_inner &&
           a->d_state == b->d_state && a->dt_rank == b->dt_rank;
}

/* Layers whose edges of a piece take no more than that much memory, at least one. */
static int32_t layers_at_a_time(const qm_compare_options *o, size_t max_rows)
{
    const qm_config *c = &o->models[0]->config;
    const uint64_t row = 4 * (uint64_t)c->d_model + 12 * (uint64_t)c->d_inner +
                         2 * (uint64_t)c->dt_rank + 4 * (uint64_t)c->d_state;
    const uint64_t n = (uint64_t)o->memory_bytes / (row * max_rows * sizeof(float) + 1);
    return n < 1 ? 1 : n > (uint64_t)c->n_layer ? c->n_layer + 1 : (int32_t)n;
}

static quamba_status open_runner(comparing *all, size_t i, bool beside_quantized, int32_t n_threads,
                                 size_t max_rows, quamba_error *err)
{
    const qm_compare_options *o = all->options;
    const qm_config *c = &o->models[i]->config, *first = &o->models[0]->config;
    runner *r = &all->runners[i];
    *r = (runner){.all = all, .index = i, .out = &all->out->runs[i]};
    if (c->n_vocab != first->n_vocab)
        return qm_fail(err, QUAMBA_E_ARGUMENT, i,
                       "run %zu has a vocabulary of %" PRId32 ", the first %" PRId32
                       ": they cannot be compared",
                       i + 1, c->n_vocab, first->n_vocab);
    r->out->same_shape = same_shape(c, first);
    const size_t n_edges = ((size_t)first->n_layer + 1) * QM_N_EDGES;
    const size_t widest =
        (size_t)(c->n_vocab > 2 * c->d_inner ? c->n_vocab : 2 * c->d_inner) + (size_t)c->d_model;
    r->out->edges = qm_alloc(n_edges, sizeof *r->out->edges);
    r->out->divergence = qm_alloc(all->out->n_positions, sizeof *r->out->divergence);
    r->first_row = qm_alloc(widest, sizeof *r->first_row);
    r->predicted = qm_alloc(QM_PIECE_TOKENS, sizeof *r->predicted);
    if (o->parting) r->out->partings = qm_alloc(n_edges, sizeof *r->out->partings);
    if (!r->out->edges || !r->out->divergence || !r->first_row || !r->predicted ||
        (o->parting && !r->out->partings))
        return qm_fail_memory(err, n_edges * sizeof *r->out->edges, "the edges of a run");
    for (size_t k = 0; o->parting && k < n_edges; k++)
        r->out->edges[k].parting = &r->out->partings[k];
    quamba_session_options session = {
        .cpu = o->cpu, .n_threads = n_threads, .max_rows = (int32_t)max_rows};
    quamba_status status = quamba_session_new(&r->session, o->models[i], &session, err);
    if (status == QUAMBA_OK)
        status = qm_frame_init(&r->frame, r->session, beside_quantized && !c->quantized, err);
    if (status != QUAMBA_OK) return status;
    r->frame.sink = take_row;
    r->frame.user = r;
    r->out->same_shape &= !r->frame.only_logits;
    r->frame.only_logits = !r->out->same_shape;
    quamba_session_set_tap(r->session, on_edge, r);
    return QUAMBA_OK;
}

static quamba_status open_all(comparing *all, size_t max_rows, quamba_error *err)
{
    const qm_compare_options *o = all->options;
    qm_comparison *out = all->out;
    bool quantized = false, plain = false;
    for (size_t i = 0; i < o->n_runs; i++) {
        quantized |= o->models[i]->config.quantized;
        plain |= !o->models[i]->config.quantized;
    }
    out->rotated = quantized && plain;
    const size_t others = o->n_runs > 1 ? o->n_runs - 1 : 1, threads = (size_t)o->n_threads;
    all->n_others = others < threads ? others : threads;
    out->runs = qm_alloc(o->n_runs, sizeof *out->runs);
    all->runners = qm_alloc(o->n_runs, sizeof *all->runners);
    all->log_sums = qm_alloc(QM_PIECE_TOKENS, sizeof *all->log_sums);
    all->targets = qm_alloc(QM_PIECE_TOKENS, sizeof *all->targets);
    if (!out->runs || !all->runners || !all->log_sums || !all->targets)
        return qm_fail_memory(err, o->n_runs * sizeof *out->runs, "a comparison");
    out->n_runs = o->n_runs;
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && i < o->n_runs; i++)
        status =
            open_runner(all, i, out->rotated,
                        i == 0 ? o->n_threads : (int32_t)(threads / all->n_others), max_rows, err);
    return status;
}

static void close_all(comparing *all)
{
    for (size_t i = 0; all->runners && i < all->options->n_runs; i++) {
        quamba_session_free(&all->runners[i].session);
        qm_frame_free(&all->runners[i].frame);
        free(all->runners[i].first_row);
        free(all->runners[i].predicted);
    }
    free(all->runners);
    free(all->log_sums);
    free(all->targets);
}

/* Every stretch of layers ran every piece, so that codes were lost as often as there are stretches.
 */
static void count_saturated(const comparing *all, uint64_t n_stretches)
{
    const qm_comparison *out = all->out;
    for (size_t i = 0; i < out->n_runs; i++)
        for (int32_t layer = 0; out->runs[i].same_shape && layer <= out->n_layer; layer++)
            for (int32_t edge = 0; edge < QM_N_EDGES; edge++)
                out->runs[i].edges[(size_t)layer * QM_N_EDGES + (size_t)edge].saturated =
                    quamba_session_saturated(all->runners[i].session, layer, edge) / n_stretches;
}

/* Layers begin .. end - 1 over the whole sample. */
static quamba_status run_stretch(comparing *all, int32_t begin, int32_t end, size_t max_rows,
                                 uint64_t done, uint64_t total, quamba_error *err)
{
    const qm_compare_options *o = all->options;
    const qm_sample *s = o->sample;
    const int32_t d_state = o->models[0]->config.d_state;
    const size_t rows = max_rows > (size_t)d_state ? max_rows : (size_t)d_state;
    quamba_status status = qm_record_init(&all->record, begin, end, rows, err);
    all->position = 0;
    for (size_t i = 0; status == QUAMBA_OK && i < s->n_pieces; i++) {
        const size_t n = qm_piece_size(s, i);
        if (o->cancelled && o->cancelled(o->user))
            status = qm_fail(err, QUAMBA_E_CANCELLED, i, "cancelled after %zu pieces of text", i);
        if (status != QUAMBA_OK) break;
        all->piece = i;
        memcpy(all->targets, s->ids + s->starts[i] + 1, n * sizeof *all->targets);
        qm_record_clear(&all->record);
        status = run_layers(all, begin, end, err);
        all->position += n;
        if (o->progress) o->progress(o->user, done + all->position, total);
    }
    qm_record_free(&all->record);
    return status;
}

quamba_status qm_compare(qm_comparison *comparison, const qm_compare_options *options,
                         quamba_error *err)
{
    *comparison = (qm_comparison){.n_positions = options->sample->n_tokens,
                                  .n_layer = options->models[0]->config.n_layer};
    comparing all = {.options = options, .out = comparison};
    size_t max_rows = 1;
    for (size_t i = 0; i < options->sample->n_pieces; i++) {
        const size_t n = qm_piece_size(options->sample, i);
        if (n > max_rows) max_rows = n;
    }
    const int32_t n_all = comparison->n_layer + 1, step = layers_at_a_time(options, max_rows);
    const uint64_t n_stretches = (uint64_t)((n_all + step - 1) / step);
    const uint64_t n_tokens = options->sample->n_tokens;
    quamba_status status = open_all(&all, max_rows, err);
    for (int32_t i = 0; status == QUAMBA_OK && i < (int32_t)n_stretches; i++) {
        const int32_t begin = i * step, end = begin + step < n_all ? begin + step : n_all;
        status = run_stretch(&all, begin, end, max_rows, (uint64_t)i * n_tokens,
                             n_stretches * n_tokens, err);
    }
    if (status == QUAMBA_OK) count_saturated(&all, n_stretches);
    close_all(&all);
    return status;
}

void qm_comparison_free(qm_comparison *c)
{
    for (size_t i = 0; c->runs && i < c->n_runs; i++) {
        free(c->runs[i].edges);
        free(c->runs[i].partings);
        free(c->runs[i].divergence);
    }
    free(c->runs);
    *c = (qm_comparison){0};
}

qm_estimate qm_compared_divergence(const qm_comparison *c, size_t run)
{
    return qm_estimate_mean(c->runs[run].divergence, c->n_positions);
}

size_t qm_compared_parting(const qm_comparison *c, size_t run)
{
    const size_t n = ((size_t)c->n_layer + 1) * QM_N_EDGES;
    for (size_t i = 0; c->runs[run].partings && i < n; i++)
        if (c->runs[run].partings[i].n_differ > 0) return i;
    return SIZE_MAX;
}
