#include "cli/bench_operators.h"

#include "base/mem.h"
#include "count/count.h"

#include <stdlib.h>
#include <string.h>

/* The operators of a stage, and the edges that end in it: the last of them shows its result. */
static const struct {
    const char *name;
    qm_operator first, last;
    const char *edges[4];
} stages[QC_N_STAGES] = {
    {"norm",       QM_OP_NORM,     QM_OP_NORM,     {"norm_out"}                                   },
    {"in_proj",    QM_OP_IN_PROJ,  QM_OP_IN_PROJ,  {"in_proj_out"}                                },
    {"conv, silu", QM_OP_CONV_IN,  QM_OP_GRID,     {"conv_in", "conv_out", "x_proj_in", "scan_in"}},
    {"x_proj",     QM_OP_X_PROJ,   QM_OP_X_PROJ,   {"x_proj_out"}                                 },
    {"dt_proj",    QM_OP_DT_PROJ,  QM_OP_DT_PROJ,  {"dt_proj_out"}                                },
    {"scan, gate", QM_OP_SOFTPLUS, QM_OP_STATE,    {"scan_out", "ssm_state"}                      },
    {"hadamard",   QM_OP_HADAMARD, QM_OP_HADAMARD, {"hadamard_out"}                               },
    {"out_proj",   QM_OP_OUT_PROJ, QM_OP_RESIDUAL, {"out_proj_out", "residual"}                   },
    {"head",       QM_OP_NORM_F,   QM_OP_HEAD,     {"norm_f_out", "logits"}                       },
};

/* ---- time ------------------------------------------------------------------------------------ */

typedef struct stopwatch {
    double last;
    double seconds[QC_N_STAGES];
} stopwatch;

static void look(void *user, const quamba_view *view)
{
    stopwatch *w = user;
    const double now = qc_now();
    for (size_t i = 0; i < QC_N_STAGES; i++)
        for (size_t k = 0; k < QM_COUNT(stages[i].edges) && stages[i].edges[k]; k++)
            if (strcmp(stages[i].edges[k], view->edge) == 0) w->seconds[i] += now - w->last;
    w->last = qc_now();
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One run into column run of prefill and decode, [QC_N_STAGES][repeat]. */
static quamba_status time_run(const qc_timed *what, int64_t run, double *prefill, double *decode,
                              quamba_error *err)
{
    stopwatch w = {.last = 0};
    const float *logits;
    quamba_session_reset(what->session);
    quamba_session_set_tap(what->session, look, &w);
    w.last = qc_now();
    quamba_status status =
        quamba_session_prefill(what->session, what->prompt, (size_t)what->prompt_len, &logits, err);
    for (int i = 0; i < QC_N_STAGES; i++)
        prefill[i * what->repeat + run] = w.seconds[i];
    w = (stopwatch){.last = 0};
    for (int64_t t = 0; status == QUAMBA_OK && t < what->gen_len; t++) {
        w.last = qc_now();
        status =
            quamba_session_step(what->session, what->prompt[t % what->prompt_len], &logits, err);
    }
    for (int i = 0; i < QC_N_STAGES; i++)
        decode[i * what->repeat + run] = w.seconds[i] / (double)what->gen_len;
    quamba_session_set_tap(what->session, NULL, NULL);
    return status;
}

static double median(double *values, int64_t n)
{
    qsort(values, (size_t)n, sizeof *values, compare_doubles);
    return values[n / 2];
}

quamba_status qc_time_stages(qc_stage_times *times, const qc_timed *what, quamba_error *err)
{
    const size_t n = (size_t)(QC_N_STAGES * what->repeat);
    double *prefill = qm_alloc(n, sizeof *prefill), *decode = qm_alloc(n, sizeof *decode);
    quamba_status status = QUAMBA_OK;
    if (!prefill || !decode) status = qm_fail_memory(err, n * sizeof *prefill, "times");
    for (int64_t run = 0; status == QUAMBA_OK && run < what->repeat; run++)
        status = time_run(what, run, prefill, decode, err);
    for (int64_t i = 0; status == QUAMBA_OK && i < QC_N_STAGES; i++) {
        times->prefill[i] = median(prefill + i * what->repeat, what->repeat);
        times->decode[i] = median(decode + i * what->repeat, what->repeat);
    }
    free(prefill);
    free(decode);
    return status;
}

/* ---- work ------------------------------------------------------------------------------------ */

/* What a stage does in the time measured. */
typedef struct work {
    uint64_t mac_i8, mac_f32, exp;
    uint64_t bytes; /* weights, state and edges */
} work;

static void add_work(work of[QC_N_STAGES], const qm_counts *counts)
{
    for (int i = 0; i < QC_N_STAGES; i++)
        for (int k = (int)stages[i].first; k <= (int)stages[i].last; k++) {
            const uint64_t *c = counts->of[k];
            of[i].mac_i8 += c[QM_COUNT_MAC_I8];
            of[i].mac_f32 += c[QM_COUNT_MAC_F32];
            of[i].exp += c[QM_COUNT_EXP];
            of[i].bytes +=
                c[QM_COUNT_DRAM_BYTES] + c[QM_COUNT_STATE_BYTES] + c[QM_COUNT_EDGE_BYTES];
        }
}

/* A prompt goes through the layers in pieces of max_rows, each of which reads the weights. */
static void find_work(work of[QC_N_STAGES], const qc_timed *what, bool decode)
{
    const qm_plan plan = qm_plan_of_model(what->model);
    const int64_t n = decode ? 1 : what->prompt_len;
    qm_counts counts;
    memset(of, 0, QC_N_STAGES * sizeof *of);
    for (int32_t layer = 0; layer < plan.config.n_layer; layer++) {
        const qm_layer_types types = qm_layer_types_of_model(what->model, layer);
        for (int64_t done = 0; done < n; done += what->max_rows) {
            const int64_t left = n - done, rows = left < what->max_rows ? left : what->max_rows;
            qm_count_operators(&counts, &plan, &types,
                               &(qm_workload){.n_tokens = (uint64_t)rows, .decode = decode});
            add_work(of, &counts);
        }
    }
    qm_count_operators(&counts, &plan, NULL,
                       &(qm_workload){.n_tokens = (uint64_t)n, .decode = decode});
    add_work(of, &counts);
}

/* ---- report ---------------------------------------------------------------------------------- */

static json_t *stages_json(const double *seconds, const qc_timed *what, bool decode)
{
    work of[QC_N_STAGES];
    json_t *list = json_array();
    find_work(of, what, decode);
    for (int i = 0; i < QC_N_STAGES; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:f, s:I, s:I, s:I, s:I}", "operator", stages[i].name, "ms",
                            seconds[i] * 1e3, "mac_i8", (json_int_t)of[i].mac_i8, "mac_f32",
                            (json_int_t)of[i].mac_f32, "exp", (json_int_t)of[i].exp, "bytes",
                            (json_int_t)of[i].bytes));
    return list;
}

json_t *qc_stages_json(const qc_stage_times *times, const qc_timed *what)
{
    return json_pack("{s:o, s:o}", "prefill", stages_json(times->prefill, what, false), "decode",
                     stages_json(times->decode, what, true));
}

static double sum(const double *values)
{
    double total = 0;
    for (int i = 0; i < QC_N_STAGES; i++)
        total += values[i];
    return total;
}

static void cells(qc_table *table, double seconds, double whole, const work *w)
{
    const double macs = (double)(w->mac_i8 + w->mac_f32);
    qc_table_cell(table, "%.3f ms", seconds * 1e3);
    qc_table_cell(table, "%.1f %%", 100 * seconds / whole);
    qc_table_cell(table, "%.1f", seconds > 0 ? macs / seconds * 1e-9 : 0.0);
    qc_table_cell(table, "%.1f", seconds > 0 ? (double)w->bytes / seconds * 1e-9 : 0.0);
}

int qc_print_stages(const qc_stage_times *times, const qc_timed *what)
{
    static const char *const headings[] = {"operator", "prefill", "share",  "GMAC/s", "GB/s",
                                           "step",     "share",   "GMAC/s", "GB/s"};
    work prefill[QC_N_STAGES], decode[QC_N_STAGES];
    const double prefill_sum = sum(times->prefill), decode_sum = sum(times->decode);
    find_work(prefill, what, false);
    find_work(decode, what, true);
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (!table) return qc_fail_memory();
    for (int i = 0; i < QC_N_STAGES; i++) {
        if (times->prefill[i] == 0 && times->decode[i] == 0) continue;
        qc_table_cell(table, "%s", stages[i].name);
        cells(table, times->prefill[i], prefill_sum, &prefill[i]);
        cells(table, times->decode[i], decode_sum, &decode[i]);
    }
    printf("\n");
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    printf("\ntogether %.2f ms and %.3f ms, in runs of their own: all threads meet after every "
           "operator\n",
           prefill_sum * 1e3, decode_sum * 1e3);
    return status;
}
