/* The document of docs/compare.md. */
#include "cli/compare.h"

#include "base/mem.h"
#include "datapath/datapath.h"
#include "eval/compare_frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Builders put members in and remember that one of them found no memory. */
typedef struct maker {
    const qc_compare *c;
    bool failed;
} maker;

static void put(maker *m, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0) m->failed = true;
}

static void add(maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0) m->failed = true;
}

static void put_real(maker *m, json_t *object, const char *key, double value)
{
    put(m, object, key, qc_json_real(value));
}

/* A count that may be undefined. */
static void put_count(maker *m, json_t *object, const char *key, double value)
{
    put(m, object, key, isfinite(value) ? json_integer((json_int_t)value) : json_null());
}

static void put_index(maker *m, json_t *object, const char *key, size_t value)
{
    put(m, object, key, json_integer((json_int_t)value));
}

static void put_text(maker *m, json_t *object, const char *key, const char *text)
{
    put(m, object, key, qc_json_text(text, strlen(text)));
}

/* ---- who runs ---------------------------------------------------------------------------------
 */

static json_t *formats_json(maker *m, const quamba_datapath *datapath)
{
    json_t *list = json_array();
    quamba_edge_format format;
    for (size_t i = 0; quamba_datapath_edge(datapath, i, &format); i++) {
        json_t *one = json_object();
        put_text(m, one, "edge", format.edge);
        put_text(m, one, "format", format.format);
        add(m, list, one);
    }
    return list;
}

static json_t *runs_json(maker *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->c->n_runs; i++) {
        const qc_compared *r = &m->c->runs[i];
        const quamba_datapath *datapath = r->eval.model->datapath;
        char knobs[256] = "";
        quamba_datapath_describe(datapath, knobs, sizeof knobs);
        json_t *one = json_object();
        put_text(m, one, "name", r->name);
        put_text(m, one, "mode", quamba_datapath_id(datapath));
        put_text(m, one, "summary", quamba_datapath_summary(datapath));
        put_text(m, one, "model", r->weights_path);
        put_text(m, one, "weights", r->eval.weights_hash);
        put_text(m, one, "knobs", knobs);
        put(m, one, "formats", formats_json(m, datapath));
        put(m, one, "same_shape",
            m->c->edges.n_runs > i ? json_boolean(m->c->edges.runs[i].same_shape) : json_null());
        add(m, list, one);
    }
    return list;
}

/* ---- scores -----------------------------------------------------------------------------------
 */

static json_t *paired_json(maker *m, size_t run, size_t task)
{
    qm_paired p;
    const qc_eval_run *scored = &m->c->runs[run].eval.runs[task];
    if (run == 0) return json_null();
    if (!qc_compare_task(m->c, run, task, &p)) return NULL;
    const bool has_verdicts = scored->task->form != QM_TASK_TEXT;
    json_t *one = json_object();
    put_count(m, one, "won", has_verdicts ? (double)p.won : (double)NAN);
    put_count(m, one, "lost", has_verdicts ? (double)p.lost : (double)NAN);
    put_real(m, one, "mcnemar_p", has_verdicts ? p.p : (double)NAN);
    put_real(m, one, "mean_difference", p.mean);
    put_real(m, one, "stderr", p.error);
    put_real(m, one, "low", p.low);
    put_real(m, one, "high", p.high);
    return one;
}

static json_t *tasks_json(maker *m)
{
    json_t *list = json_array();
    for (size_t t = 0; t < qc_compare_n_tasks(m->c); t++) {
        const qc_eval_run *first = &m->c->runs[0].eval.runs[t];
        json_t *task = json_object(), *runs = json_array();
        put_text(m, task, "task", first->name);
        put_index(m, task, "n", (size_t)first->result.n_done);
        for (size_t i = 0; i < m->c->n_runs; i++) {
            const quamba_eval_result *r = &m->c->runs[i].eval.runs[t].result;
            json_t *one = json_object();
            put_index(m, one, "run", i);
            put_real(m, one, "acc", r->acc);
            put_real(m, one, "acc_stderr", r->acc_stderr);
            put_real(m, one, "acc_norm", r->acc_norm);
            put_real(m, one, "acc_norm_stderr", r->acc_norm_stderr);
            put_real(m, one, "perplexity", r->perplexity);
            put_real(m, one, "perplexity_stderr", r->perplexity_stderr);
            put(m, one, "against_first", paired_json(m, i, t));
            add(m, runs, one);
        }
        put(m, task, "runs", runs);
        add(m, list, task);
    }
    return list;
}

static json_t *positions_json(maker *m)
{
    const qm_comparison *edges = &m->c->edges;
    if (edges->n_runs == 0) return json_null();
    json_t *positions = json_object(), *list = json_array();
    put_index(m, positions, "n", edges->n_positions);
    for (size_t i = 1; i < edges->n_runs; i++) {
        const qm_estimate kl = qm_compared_divergence(edges, i);
        const qm_estimate top = qm_estimate_share(edges->runs[i].n_same_top, edges->n_positions);
        double largest = 0.0;
        for (size_t k = 0; k < edges->n_positions; k++)
            if (!(edges->runs[i].divergence[k] <= largest)) largest = edges->runs[i].divergence[k];
        json_t *one = json_object();
        put_index(m, one, "run", i);
        put_real(m, one, "kl_mean", kl.value);
        put_real(m, one, "kl_stderr", kl.error);
        put_real(m, one, "kl_max", largest);
        put_real(m, one, "top1_agreement", top.value);
        put_real(m, one, "top1_stderr", top.error);
        add(m, list, one);
    }
    put(m, positions, "runs", list);
    return positions;
}

/* ---- edges ------------------------------------------------------------------------------------
 */

static json_t *edge_json(maker *m, size_t run, int32_t layer, int32_t edge)
{
    const qm_edge_stats *s = qm_compared_edge(&m->c->edges, run, layer, edge);
    const qc_edge_line line = qc_compare_edge(m->c, run, layer, edge);
    json_t *one = json_object();
    put_index(m, one, "run", run);
    put_text(m, one, "edge", quamba_edge_name(edge));
    put_index(m, one, "layer", (size_t)layer);
    put_text(m, one, "kind", s->codes ? "codes" : "numbers");
    put_index(m, one, "n", (size_t)s->n);
    put_index(m, one, "n_compared", (size_t)s->n_compared);
    put_index(m, one, "not_finite", (size_t)s->not_finite);
    put_real(m, one, "max_error", line.max_error);
    put_real(m, one, "rms_error", line.rms_error);
    put_real(m, one, "rms_first", line.rms_first);
    put_real(m, one, "sqnr_db", line.sqnr_db);
    put_real(m, one, "cosine", line.cosine);
    put_count(m, one, "code_flips", line.flips);
    put_real(m, one, "code_flip_share", line.flip_share);
    put_count(m, one, "worst_flip", line.worst_flip);
    put_count(m, one, "saturated", line.saturated);
    put_real(m, one, "saturated_share", line.saturated_share);
    put_real(m, one, "largest", line.largest);
    put_real(m, one, "scale", line.scale);
    put_real(m, one, "range_share", line.range_share);
    return one;
}

static json_t *histogram_json(maker *m, size_t run, int32_t layer, int32_t edge)
{
    const qm_edge_stats *s = qm_compared_edge(&m->c->edges, run, layer, edge);
    const qc_edge_line line = qc_compare_edge(m->c, run, layer, edge);
    qm_bins bins;
    json_t *one = json_object(), *counts = json_array();
    qm_histogram_bins(&s->histogram, line.scale, &bins);
    put_index(m, one, "run", run);
    put_text(m, one, "edge", quamba_edge_name(edge));
    put_index(m, one, "layer", (size_t)layer);
    put_real(m, one, "low", bins.low);
    put_real(m, one, "high", bins.high);
    for (size_t i = 0; i < QM_HISTOGRAM_BINS; i++)
        add(m, counts, json_integer((json_int_t)bins.counts[i]));
    put(m, one, "counts", counts);
    put_real(m, one, "clip_low", -128.0 * line.scale);
    put_real(m, one, "clip_high", 127.0 * line.scale);
    return one;
}

/* A list over everything that was shown, in the order of the datapath. */
static json_t *each_edge(maker *m, json_t *make(maker *, size_t, int32_t, int32_t))
{
    const qm_comparison *edges = &m->c->edges;
    json_t *list = json_array();
    for (size_t run = 0; run < edges->n_runs; run++)
        for (int32_t layer = 0; layer <= edges->n_layer; layer++)
            for (int32_t edge = 0; edge < QM_N_EDGES; edge++)
                if (qm_compared_edge(edges, run, layer, edge)->n > 0)
                    add(m, list, make(m, run, layer, edge));
    return list;
}

static json_t *edge_names_json(maker *m)
{
    json_t *list = json_array();
    for (int32_t i = 0; quamba_edge_name(i) != NULL; i++)
        add(m, list, json_string(quamba_edge_name(i)));
    return list;
}

/* ---- where runs part --------------------------------------------------------------------------
 */

static json_t *value_json(maker *m, float value, int32_t code)
{
    char hex[12];
    json_t *one = json_object();
    qc_compare_hex(value, code, hex);
    put_real(m, one, "value", (double)value);
    put(m, one, "code", code == QM_NO_CODE ? json_null() : json_integer(code));
    put_text(m, one, "hex", hex);
    return one;
}

static void add_difference(maker *m, json_t *list, const char *label, uint64_t count)
{
    json_t *one = json_object();
    if (count == 0) {
        json_decref(one);
        return;
    }
    put_text(m, one, "difference", label);
    put_index(m, one, "count", (size_t)count);
    add(m, list, one);
}

static json_t *differences_json(maker *m, const qm_parting *p)
{
    char label[48];
    json_t *list = json_array();
    for (int32_t d = -255; !p->in_ulps && d <= 255; d++) {
        snprintf(label, sizeof label, "%+d", (int)d);
        add_difference(m, list, label, p->codes[d + 255]);
    }
    for (int b = QM_ULP_BUCKETS - 2; p->in_ulps && b >= 0; b--) {
        qc_ulp_label(label, sizeof label, false, b);
        add_difference(m, list, label, p->ulps[0][b]);
    }
    for (int b = 0; p->in_ulps && b < QM_ULP_BUCKETS; b++) {
        qc_ulp_label(label, sizeof label, true, b);
        add_difference(m, list, label, p->ulps[1][b]);
    }
    return list;
}

static json_t *partings_json(maker *m)
{
    const qm_comparison *edges = &m->c->edges;
    if (!m->c->opt->first_divergence || edges->n_runs == 0) return json_null();
    json_t *list = json_array();
    for (size_t run = 1; run < edges->n_runs; run++) {
        const size_t at = qm_compared_parting(edges, run);
        if (at == SIZE_MAX) continue;
        const qm_parting *p = &edges->runs[run].partings[at];
        json_t *one = json_object();
        put_index(m, one, "run", run);
        put_index(m, one, "layer", at / QM_N_EDGES);
        put_text(m, one, "edge", quamba_edge_name((int32_t)(at % QM_N_EDGES)));
        put_index(m, one, "piece", p->piece);
        put_index(m, one, "token", p->token);
        put_index(m, one, "channel", p->channel);
        put(m, one, "first", value_json(m, p->pair.first, p->pair.first_code));
        put(m, one, "other", value_json(m, p->pair.other, p->pair.other_code));
        put_text(m, one, "unit", qc_parting_unit(p));
        put_index(m, one, "n_differ", (size_t)p->n_differ);
        put_index(m, one, "n", (size_t)edges->runs[run].edges[at].n_compared);
        put(m, one, "histogram", differences_json(m, p));
        add(m, list, one);
    }
    return list;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

json_t *qc_compare_json(const qc_compare *c)
{
    maker m = {.c = c};
    json_t *document = json_object(), *items = json_object();
    put_text(&m, document, "quamba", QUAMBA_VERSION);
    put_text(&m, items, "source", c->runs[0].eval.runs[0].name);
    put_index(&m, items, "n_items", (size_t)c->runs[0].eval.runs[0].result.n_done);
    put_index(&m, items, "n_pieces", c->sample.n_pieces);
    put_index(&m, items, "n_tokens", c->sample.n_tokens);
    put(&m, document, "items", items);
    put(&m, document, "runs", runs_json(&m));
    put(&m, document, "tasks", tasks_json(&m));
    put(&m, document, "positions", positions_json(&m));
    put_index(&m, document, "layers", (size_t)c->runs[0].eval.model->config.n_layer);
    put(&m, document, "rotated", json_boolean(c->edges.rotated));
    put(&m, document, "edge_names", edge_names_json(&m));
    put(&m, document, "edges", each_edge(&m, edge_json));
    put(&m, document, "histograms", each_edge(&m, histogram_json));
    put(&m, document, "first_divergence", partings_json(&m));
    if (!m.failed) return document;
    json_decref(document);
    return NULL;
}
