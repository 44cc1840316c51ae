/* A comparison as tables to read. */
#include "cli/compare.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* "0.1234 +- 0.0123", "-" where it is not defined. */
static void estimate_cell(qc_table *table, const char *format, double value, double error)
{
    char number[32], spread[32] = "";
    if (isnan(value)) {
        qc_table_cell(table, "-");
        return;
    }
    snprintf(number, sizeof number, format, value);
    if (!isnan(error)) snprintf(spread, sizeof spread, format, error);
    qc_table_cell(table, "%s%s%s", number, spread[0] != '\0' ? " +- " : "", spread);
}

static void number_cell(qc_table *table, const char *format, double value)
{
    char number[32];
    if (isnan(value)) {
        qc_table_cell(table, "-");
        return;
    }
    snprintf(number, sizeof number, format, value);
    qc_table_cell(table, "%s", number);
}

static int finish(qc_table *table, const char *title)
{
    if (table == NULL) return qc_fail_memory();
    printf("%s\n", title);
    const int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

/* ---- scores -----------------------------------------------------------------------------------
 */

static bool paired_cells(qc_table *table, const qc_compare *c, size_t run, size_t task)
{
    qm_paired p;
    if (run == 0) {
        for (int i = 0; i < 4; i++)
            qc_table_cell(table, "-");
        return true;
    }
    if (!qc_compare_task(c, run, task, &p)) return false;
    if (c->runs[run].eval.runs[task].task->form == QM_TASK_TEXT) {
        qc_table_cell(table, "-");
        qc_table_cell(table, "-");
    } else {
        qc_table_cell(table, "+%zu -%zu", p.won, p.lost);
        qc_table_cell(table, "%.3g", p.p);
    }
    number_cell(table, "%+.5f", p.mean);
    if (isnan(p.low))
        qc_table_cell(table, "-");
    else
        qc_table_cell(table, "%+.5f .. %+.5f", p.low, p.high);
    return true;
}

static int print_task(const qc_compare *c, size_t t)
{
    static const char *const headings[] = {"run",       "acc", "acc_norm", "perplexity",
                                           "won, lost", "p",   "log-lik.", "95 %"};
    const qc_eval_run *first = &c->runs[0].eval.runs[t];
    char title[300];
    snprintf(title, sizeof title,
             "%.100s, %llu items; won, lost, p (McNemar) and log-likelihood per item against %.40s",
             first->name, (unsigned long long)first->result.n_done, c->runs[0].name);
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    for (size_t i = 0; i < c->n_runs && table != NULL; i++) {
        const quamba_eval_result *r = &c->runs[i].eval.runs[t].result;
        qc_table_cell(table, "%s", c->runs[i].name);
        estimate_cell(table, "%.4f", r->acc, r->acc_stderr);
        estimate_cell(table, "%.4f", r->acc_norm, r->acc_norm_stderr);
        estimate_cell(table, "%.3f", r->perplexity, r->perplexity_stderr);
        if (!paired_cells(table, c, i, t)) qc_table_free(&table);
    }
    return finish(table, title);
}

static int print_positions(const qc_compare *c)
{
    static const char *const headings[] = {"run", "KL, nats", "largest", "same top token"};
    char title[200];
    snprintf(title, sizeof title,
             "\nPredictions at %zu positions of %zu pieces of %.100s, against %.40s",
             c->edges.n_positions, c->sample.n_pieces, c->runs[0].eval.runs[0].name,
             c->runs[0].name);
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    for (size_t i = 1; i < c->n_runs && table != NULL; i++) {
        const qm_estimate kl = qm_compared_divergence(&c->edges, i);
        const qm_estimate top =
            qm_estimate_share(c->edges.runs[i].n_same_top, c->edges.n_positions);
        double largest = 0.0;
        for (size_t k = 0; k < c->edges.n_positions; k++)
            largest = fmax(largest, c->edges.runs[i].divergence[k]);
        qc_table_cell(table, "%s", c->runs[i].name);
        estimate_cell(table, "%.3g", kl.value, kl.error);
        number_cell(table, "%.3g", largest);
        estimate_cell(table, "%.4f", top.value, top.error);
    }
    return finish(table, title);
}

/* ---- edges ------------------------------------------------------------------------------------
 */

static void edge_cells(qc_table *table, const qc_edge_line *line)
{
    number_cell(table, "%.3g", line->max_error);
    number_cell(table, "%.3g", line->rms_error);
    number_cell(table, "%.1f", line->sqnr_db);
    number_cell(table, "%.6f", line->cosine);
    number_cell(table, "%.2f%%", 100.0 * line->flip_share);
    number_cell(table, "%.0f", line->worst_flip);
    number_cell(table, "%.0f", line->saturated);
    number_cell(table, "%.3g", line->range_share);
}

/* Of all layers the one with the lowest ratio of signal to noise; -1: the edge is not shown. */
static int32_t worst_layer(const qc_compare *c, size_t run, int32_t edge)
{
    int32_t worst = -1;
    double lowest = (double)INFINITY;
    for (int32_t layer = 0; layer <= c->edges.n_layer; layer++) {
        if (qm_compared_edge(&c->edges, run, layer, edge)->n_compared == 0) continue;
        const double sqnr = qc_compare_edge(c, run, layer, edge).sqnr_db;
        if (worst >= 0 && !(sqnr < lowest)) continue;
        worst = layer;
        lowest = isnan(sqnr) ? (double)INFINITY : sqnr;
    }
    return worst;
}

/* With all: every layer, else each edge's worst. */
static int print_edges(const qc_compare *c, size_t run, bool all)
{
    static const char *const headings[] = {"edge",      "layer",        "max error", "RMS error",
                                           "SQNR dB",   "cosine",       "flips",     "worst",
                                           "saturated", "largest/range"};
    char title[200];
    snprintf(title, sizeof title, "\n%.60s against %.60s, %s", c->runs[run].name, c->runs[0].name,
             all ? "layer by layer" : "each edge in the layer where it is furthest away");
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    for (int32_t edge = 0; edge < QM_N_EDGES && table != NULL; edge++) {
        const int32_t worst = worst_layer(c, run, edge);
        for (int32_t layer = 0; layer <= c->edges.n_layer; layer++) {
            if (all ? qm_compared_edge(&c->edges, run, layer, edge)->n == 0 : layer != worst)
                continue;
            const qc_edge_line line = qc_compare_edge(c, run, layer, edge);
            qc_table_cell(table, "%s", quamba_edge_name(edge));
            qc_table_cell(table, "%d", (int)layer);
            edge_cells(table, &line);
        }
    }
    return finish(table, title);
}

/* ---- where runs part --------------------------------------------------------------------------
 */

void qc_ulp_label(char *out, size_t size, bool above, int bucket)
{
    const char sign = above ? '+' : '-';
    if (bucket == QM_ULP_BUCKETS - 1)
        snprintf(out, size, "no number");
    else if (bucket == 0)
        snprintf(out, size, "%c1", sign);
    else
        snprintf(out, size, "%c%lld..%lld", sign, 1LL << bucket, (2LL << bucket) - 1);
}

const char *qc_parting_unit(const qm_parting *p)
{
    return p->in_ulps ? "ulp" : p->in_steps ? "steps" : "codes";
}

static void print_value(const char *name, float value, int32_t code)
{
    char hex[12];
    qc_compare_hex(value, code, hex);
    printf("    %-12s %.9g", name, (double)value);
    if (code != QM_NO_CODE) printf("  code %d", (int)code);
    printf("  hex %s\n", hex);
}

static void print_difference(const char *label, uint64_t count)
{
    if (count > 0) printf("    %16s  %llu\n", label, (unsigned long long)count);
}

/* One by one up to 8, further away in ranges that double. */
static void print_code_differences(const qm_parting *p)
{
    static const int32_t bounds[] = {-255, -128, -64, -32, -16, -8, -7, -6, -5, -4, -3, -2, -1, 0,
                                     1,    2,    3,   4,   5,   6,  7,  8,  9,  17, 33, 65, 129};
    char label[48];
    for (size_t i = 0; i < QM_COUNT(bounds); i++) {
        const int32_t first = bounds[i], last = i + 1 < QM_COUNT(bounds) ? bounds[i + 1] - 1 : 255;
        uint64_t count = 0;
        for (int32_t d = first; d <= last; d++)
            count += p->codes[d + 255];
        if (first < last)
            snprintf(label, sizeof label, "%+d..%+d", (int)first, (int)last);
        else if (first == 0 && p->in_steps)
            snprintf(label, sizeof label, "within 1/2");
        else
            snprintf(label, sizeof label, "%+d", (int)first);
        print_difference(label, count);
    }
}

static void print_parting(const qc_compare *c, size_t run)
{
    const size_t at = qm_compared_parting(&c->edges, run);
    printf("\nFirst divergence of %s from %s: ", c->runs[run].name, c->runs[0].name);
    if (at == SIZE_MAX) {
        printf("none, %s\n",
               c->edges.runs[run].same_shape ? "equal at every edge" : "the logits are equal");
        return;
    }
    const qm_parting *p = &c->edges.runs[run].partings[at];
    char label[48];
    printf("layer %zu, %s, piece %zu, token %zu, channel %zu\n", at / QM_N_EDGES,
           quamba_edge_name((int32_t)(at % QM_N_EDGES)), p->piece, p->token, p->channel);
    print_value(c->runs[0].name, p->pair.first, p->pair.first_code);
    print_value(c->runs[run].name, p->pair.other, p->pair.other_code);
    printf("  %llu of %llu values differ there, %s minus %s in %s:\n",
           (unsigned long long)p->n_differ,
           (unsigned long long)c->edges.runs[run].edges[at].n_compared, c->runs[run].name,
           c->runs[0].name, qc_parting_unit(p));
    if (!p->in_ulps) print_code_differences(p);
    for (int b = QM_ULP_BUCKETS - 2; p->in_ulps && b >= 0; b--) {
        qc_ulp_label(label, sizeof label, false, b);
        print_difference(label, p->ulps[0][b]);
    }
    for (int b = 0; p->in_ulps && b < QM_ULP_BUCKETS; b++) {
        qc_ulp_label(label, sizeof label, true, b);
        print_difference(label, p->ulps[1][b]);
    }
}

int qc_compare_print(const qc_compare *c)
{
    int status = QC_OK;
    for (size_t t = 0; t < qc_compare_n_tasks(c) && status == QC_OK; t++) {
        if (t > 0) puts("");
        status = print_task(c, t);
    }
    if (c->edges.n_runs > 0 && status == QC_OK) status = print_positions(c);
    for (size_t run = 1; run < c->edges.n_runs && status == QC_OK; run++)
        status = print_edges(c, run, c->opt->verbose);
    for (size_t run = 1; c->opt->first_divergence && run < c->edges.n_runs; run++)
        print_parting(c, run);
    return status == QC_OK ? qc_finish_output() : status;
}
