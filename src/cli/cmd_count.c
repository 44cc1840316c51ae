/* quamba count: what a datapath costs, from shapes and knobs alone. */
#include "cli/shape.h"
#include "count/count.h"

#include <inttypes.h>
#include <string.h>

/* What is counted, and the prices of an estimate, if any. */
typedef struct qc_count {
    const char *name;
    qm_plan plan;
    const quamba_model *model; /* NULL: a shape */
    bool priced;
    qm_prices prices;
} qc_count;

/* Layers that cost the same. */
typedef struct qc_group {
    int32_t first, last;
    qm_layer_types types;
} qc_group;

static qm_layer_types types_of(const qc_count *c, int32_t layer)
{
    return c->model ? qm_layer_types_of_model(c->model, layer)
                    : qm_layer_types_of_shape(&c->plan.config);
}

/* The next group after *group, whose last is -1 before the first; false past the last. */
static bool next_group(const qc_count *c, qc_group *group)
{
    const int32_t n_layer = c->plan.config.n_layer;
    if (group->last + 1 >= n_layer) return false;
    group->first = ++group->last;
    group->types = types_of(c, group->first);
    for (; group->last + 1 < n_layer; group->last++) {
        const qm_layer_types next = types_of(c, group->last + 1);
        if (memcmp(&next, &group->types, sizeof next) != 0) break;
    }
    return true;
}

static uint64_t size_of(const qc_group *group)
{
    return (uint64_t)(group->last - group->first + 1);
}

/* total += times the sum over operators */
static void add_total(uint64_t total[QM_N_COUNTS], const qm_counts *counts, uint64_t times)
{
    for (int k = 0; k < QM_N_COUNTS; k++)
        total[k] += times * qm_count_total(counts, (qm_count_kind)k);
}

static void find_total(uint64_t total[QM_N_COUNTS], const qc_count *c, const qm_workload *work)
{
    qm_counts counts;
    memset(total, 0, QM_N_COUNTS * sizeof *total);
    for (qc_group group = {.last = -1}; next_group(c, &group);) {
        qm_count_operators(&counts, &c->plan, &group.types, work);
        add_total(total, &counts, size_of(&group));
    }
    qm_count_operators(&counts, &c->plan, NULL, work);
    add_total(total, &counts, 1);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *numbers_json(const uint64_t *of, const char *const *names, size_t n)
{
    json_t *out = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(out, names[i], json_integer((json_int_t)of[i]));
    return out;
}

static json_t *costs_json(const qc_count *c, const uint64_t of[QM_N_COUNTS])
{
    json_t *out = numbers_json(of, qm_count_names, QM_N_COUNTS);
    if (c->priced)
        json_object_set_new(out, "energy_pj", qc_json_real(qm_energy_pj(&c->prices, of)));
    return out;
}

static json_t *counts_json(const qc_count *c, const qm_counts *counts, bool in_layer)
{
    json_t *out = json_object();
    for (int i = 0; i < QM_N_OPERATORS; i++)
        if (qm_operator_in_layer((qm_operator)i) == in_layer)
            json_object_set_new(out, qm_operator_names[i], costs_json(c, counts->of[i]));
    return out;
}

static json_t *group_json(const qc_group *group, json_t *operators)
{
    return json_pack("{s:i, s:i, s:o}", "first", group->first, "last", group->last, "operators",
                     operators);
}

static json_t *run_json(const qc_count *c, const qm_workload *work)
{
    qm_counts counts;
    uint64_t total[QM_N_COUNTS];
    json_t *layers = json_array();
    for (qc_group group = {.last = -1}; next_group(c, &group);) {
        qm_count_operators(&counts, &c->plan, &group.types, work);
        json_array_append_new(layers, group_json(&group, counts_json(c, &counts, true)));
    }
    qm_count_operators(&counts, &c->plan, NULL, work);
    find_total(total, c, work);
    return json_pack("{s:I, s:o, s:o, s:o}", "tokens", (json_int_t)work->n_tokens, "layers", layers,
                     "outside", counts_json(c, &counts, false), "total", costs_json(c, total));
}

static json_t *stores_json(const qm_stores *stores)
{
    json_t *out = json_object();
    for (int i = 0; i < QM_N_OPERATORS; i++) {
        uint64_t any = 0;
        for (int k = 0; k < QM_N_STORES; k++)
            any |= stores->of[i][k];
        if (any)
            json_object_set_new(out, qm_operator_names[i],
                                numbers_json(stores->of[i], qm_store_names, QM_N_STORES));
    }
    return out;
}

static void add_stores(uint64_t total[QM_N_STORES], const qm_stores *stores, uint64_t times)
{
    for (int i = 0; i < QM_N_OPERATORS; i++)
        for (int k = 0; k < QM_N_STORES; k++)
            total[k] += times * stores->of[i][k];
}

static json_t *storage_json(const qc_count *c)
{
    qm_stores stores;
    uint64_t total[QM_N_STORES] = {0};
    json_t *layers = json_array();
    for (qc_group group = {.last = -1}; next_group(c, &group);) {
        qm_count_storage(&stores, &c->plan, &group.types);
        json_array_append_new(layers, group_json(&group, stores_json(&stores)));
        add_stores(total, &stores, size_of(&group));
    }
    qm_count_storage(&stores, &c->plan, NULL);
    add_stores(total, &stores, 1);
    return json_pack("{s:o, s:o, s:o}", "layers", layers, "outside", stores_json(&stores), "total",
                     numbers_json(total, qm_store_names, QM_N_STORES));
}

static int print_json(const qc_count *c, const qm_workload runs[2])
{
    const qm_config *s = &c->plan.config;
    json_t *meaning = json_object(), *prices = json_object();
    for (int i = 0; i < QM_N_COUNTS; i++) {
        json_object_set_new(meaning, qm_count_names[i], json_string(qm_count_meanings[i]));
        if (c->prices.given[i])
            json_object_set_new(prices, qm_count_prices[i], qc_json_real(c->prices.pj[i]));
    }
    json_t *out = json_pack(
        "{s:o, s:s, s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i}, s:o, s:o, s:o, s:o, s:o}", "model",
        qc_json_text(c->name, strlen(c->name)), "mode", quamba_datapath_id(c->plan.datapath),
        "shape", "n_layer", s->n_layer, "d_model", s->d_model, "d_inner", s->d_inner, "d_state",
        s->d_state, "d_conv", s->d_conv, "dt_rank", s->dt_rank, "n_vocab", s->n_vocab, "meaning",
        meaning, "pj", c->priced ? prices : json_null(), "prefill", run_json(c, &runs[0]), "decode",
        run_json(c, &runs[1]), "storage", storage_json(c));
    if (!c->priced) json_decref(prices);
    int status = qc_print_json(out);
    json_decref(out);
    return status;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* "1234", "56.8 M" */
static void cell_count(qc_table *table, uint64_t n)
{
    static const char units[] = "kMGTPE";
    double shown = (double)n / 1e3;
    size_t unit = 0;
    for (; shown >= 1e3 && unit < sizeof units - 2; unit++)
        shown /= 1e3;
    if (n < 10000)
        qc_table_cell(table, "%" PRIu64, n);
    else
        qc_table_cell(table, "%.*f %c", shown < 10 ? 2 : shown < 100 ? 1 : 0, shown, units[unit]);
}

static void cell_energy(qc_table *table, double pj)
{
    static const char *const units[] = {"pJ", "nJ", "uJ", "mJ", "J"};
    size_t unit = 0;
    for (; pj >= 1e3 && unit < QM_COUNT(units) - 1; unit++)
        pj /= 1e3;
    qc_table_cell(table, "%.3g %s", pj, units[unit]);
}

/* Columns that hold anything in a run. */
typedef struct qc_columns {
    const char *headings[QM_N_COUNTS + 2];
    qm_count_kind kinds[QM_N_COUNTS];
    size_t n_kinds, n;
} qc_columns;

static qc_columns columns_of(const qc_count *c, const uint64_t total[QM_N_COUNTS])
{
    qc_columns columns = {.headings = {"operator"}, .n = 1};
    for (int k = 0; k < QM_N_COUNTS; k++)
        if (total[k] > 0) {
            columns.kinds[columns.n_kinds++] = (qm_count_kind)k;
            columns.headings[columns.n++] = qm_count_names[k];
        }
    if (c->priced) columns.headings[columns.n++] = "energy";
    return columns;
}

static void row_costs(qc_table *table, const qc_count *c, const qc_columns *columns,
                      const uint64_t of[QM_N_COUNTS])
{
    for (size_t i = 0; i < columns->n_kinds; i++)
        cell_count(table, of[columns->kinds[i]]);
    if (c->priced) cell_energy(table, qm_energy_pj(&c->prices, of));
}

/* The operators of a layer, or those outside, that do anything. */
static void rows_counts(qc_table *table, const qc_count *c, const qc_columns *columns,
                        const qm_counts *counts, bool in_layer)
{
    for (int i = 0; i < QM_N_OPERATORS; i++) {
        uint64_t any = 0;
        for (int k = 0; k < QM_N_COUNTS; k++)
            any |= counts->of[i][k];
        if (!any || qm_operator_in_layer((qm_operator)i) != in_layer) continue;
        qc_table_cell(table, "%s", qm_operator_names[i]);
        row_costs(table, c, columns, counts->of[i]);
    }
}

static int print_run(const qc_count *c, const qm_workload *work)
{
    uint64_t total[QM_N_COUNTS];
    qm_counts counts;
    find_total(total, c, work);
    const qc_columns columns = columns_of(c, total);
    qc_table *table = qc_table_new(columns.headings, columns.n);
    if (!table) return qc_fail_memory();
    for (qc_group group = {.last = -1}; next_group(c, &group);) {
        uint64_t sum[QM_N_COUNTS] = {0};
        qm_count_operators(&counts, &c->plan, &group.types, work);
        rows_counts(table, c, &columns, &counts, true);
        add_total(sum, &counts, size_of(&group));
        qc_table_cell(table, "layers %" PRId32 " to %" PRId32, group.first, group.last);
        row_costs(table, c, &columns, sum);
    }
    qm_count_operators(&counts, &c->plan, NULL, work);
    rows_counts(table, c, &columns, &counts, false);
    qc_table_cell(table, "whole model");
    row_costs(table, c, &columns, total);
    if (work->decode)
        printf("\na decode step:\n");
    else
        printf("\nprefill of %" PRIu64 " tokens, logits of the last:\n", work->n_tokens);
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static void row_stores(qc_table *table, const uint64_t of[QM_N_STORES])
{
    for (int k = 0; k < QM_N_STORES; k++)
        qc_table_cell(table, "%" PRIu64, of[k]);
}

static int print_storage(const qc_count *c)
{
    static const char *const headings[] = {"bytes stored", "weights", "scales", "tables", "state"};
    uint64_t total[QM_N_STORES] = {0};
    qm_stores stores;
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (!table) return qc_fail_memory();
    for (qc_group group = {.last = -1}; next_group(c, &group);) {
        uint64_t one[QM_N_STORES] = {0};
        qm_count_storage(&stores, &c->plan, &group.types);
        add_stores(one, &stores, 1);
        add_stores(total, &stores, size_of(&group));
        qc_table_cell(table, "a layer of %" PRId32 " to %" PRId32, group.first, group.last);
        row_stores(table, one);
    }
    uint64_t outside[QM_N_STORES] = {0};
    qm_count_storage(&stores, &c->plan, NULL);
    add_stores(outside, &stores, 1);
    add_stores(total, &stores, 1);
    qc_table_cell(table, "outside the layers");
    row_stores(table, outside);
    qc_table_cell(table, "whole model");
    row_stores(table, total);
    printf("\n");
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static int print_tables(const qc_count *c, const qm_workload runs[2])
{
    const qm_config *s = &c->plan.config;
    printf("%s, mode %s: %" PRId32 " layers, d_model %" PRId32 ", d_inner %" PRId32
           ", d_state %" PRId32 ", vocabulary %" PRId32 "; rows of a layer are one layer's\n",
           c->name, quamba_datapath_id(c->plan.datapath), s->n_layer, s->d_model, s->d_inner,
           s->d_state, s->n_vocab);
    int status = print_run(c, &runs[0]);
    if (status == QC_OK) status = print_run(c, &runs[1]);
    if (status == QC_OK) status = print_storage(c);
    if (status != QC_OK || !c->priced) return status;
    printf("\nEnergy is an estimate: counts times the prices of --pj.  Not priced, so left out:");
    for (int k = 0, n = 0; k < QM_N_COUNTS; k++)
        if (!c->prices.given[k]) printf("%s %s", n++ > 0 ? "," : "", qm_count_prices[k]);
    printf("\n");
    return QC_OK;
}

static int count(qc_count *c, const qc_options *opt)
{
    const qm_workload runs[2] = {
        {.n_tokens = (uint64_t)opt->prompt_len},
        { .n_tokens = 1,                       .decode = true}
    };
    quamba_error err;
    if (opt->pj) {
        if (qm_prices_parse(&c->prices, opt->pj, &err) != QUAMBA_OK)
            return qc_fail(QC_USAGE, "--pj: %s", err.message);
        c->priced = true;
    }
    int status = opt->json ? print_json(c, runs) : print_tables(c, runs);
    return status == QC_OK ? qc_finish_output() : status;
}

static int run(const qc_options *opt)
{
    quamba_model *model = NULL;
    qc_shape shape = {0};
    if ((opt->n_args == 0) == (opt->shape == NULL))
        return qc_fail(QC_USAGE, "count: give either a MODEL or --shape");
    qc_count c = {.name = opt->shape ? opt->shape : opt->args[0]};
    int status;
    if (opt->shape) {
        status = qc_find_shape(&shape, opt, "count");
        if (status == QC_OK)
            c.plan = qm_plan_of_shape(&shape.config, shape.datapath, &shape.random);
    } else {
        status = qc_refuse_shape_options(opt, "count");
        if (status == QC_OK) status = qc_open_model(&model, opt, c.name);
        if (status == QC_OK) c.plan = qm_plan_of_model(model);
        c.model = model;
    }
    if (status == QC_OK) status = count(&c, opt);
    quamba_datapath_free(&shape.own);
    quamba_model_close(&model);
    return status;
}

const qc_command qc_cmd_count = {
    .name = "count",
    .usage = "[OPTIONS] MODEL | --shape SIZE",
    .summary = "count operations, bytes moved and storage of a datapath",
    .description =
        "Counts, for a prefill of --prompt-len tokens and for a decode step, what every operator "
        "of a mode does: multiply-accumulates, other arithmetic, exponentials, logarithms, "
        "divisions, roundings, and the bytes it moves: weights (dram), recurrent state, "
        "activations between operators (edge), operands (local, nothing reused).  Nothing is run; "
        "--shape needs no weights.\n\n"
        "With --pj the counts are priced.  That is an estimate: there are no prices of our own, "
        "and what has no price is left out and named.",
    .examples = "quamba count models/demo\n"
                "quamba count --shape 130m --mode 2-4 --prompt-len 512 --json\n"
                "quamba count --shape 2.8b --pj mac_i8=0.2,mac_f32=3.7,dram_byte=20\n",
    .options = "mode float-sim-asic-int8 strict-mode legacy-env "
               "datapath outlier-scales norm-f-fallback reference cpu threads "
               "pretrained-dir shape no-quantize-embedding no-quantize-lm-head prompt-len pj",
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
