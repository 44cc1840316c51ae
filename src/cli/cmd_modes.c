/* quamba modes: the table of datapaths, one of them edge by edge, and the knobs. */
#include "cli/cli.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

/* Ids of the other rows that compute the same, separated by blanks. */
static void add_same(qm_text *text, const quamba_datapath *datapath)
{
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++)
        if (strcmp(quamba_datapath_id(row), quamba_datapath_id(datapath)) != 0 &&
            quamba_datapath_same(row, datapath))
            qm_text_printf(text, "%s%s", text->size > 0 ? " " : "", quamba_datapath_id(row));
}

static json_t *same_json(const quamba_datapath *datapath)
{
    json_t *list = json_array();
    const quamba_datapath *row;
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++)
        if (strcmp(quamba_datapath_id(row), quamba_datapath_id(datapath)) != 0 &&
            quamba_datapath_same(row, datapath))
            json_array_append_new(list, json_string(quamba_datapath_id(row)));
    return list;
}

static json_t *knobs_json(const quamba_datapath *datapath)
{
    json_t *object = json_object();
    quamba_knob knob;
    for (size_t i = 0; quamba_datapath_knob(i, &knob); i++) {
        const char *value = quamba_datapath_value(datapath, i);
        if (value != NULL) json_object_set_new(object, knob.name, json_string(value));
    }
    return object;
}

/* What list and show have in common; NULL without memory. */
static json_t *row_json(const quamba_datapath *datapath)
{
    const quamba_datapath_info info = quamba_datapath_get_info(datapath);
    char knobs[400];
    quamba_datapath_describe(datapath, knobs, sizeof knobs);
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:i, s:s, s:s, s:s, s:s, s:s, s:b}", "id",
                  quamba_datapath_id(datapath), "summary", quamba_datapath_summary(datapath),
                  "description", quamba_datapath_remark(datapath), "quantized", info.quantized,
                  "removed", info.removed, "causal", info.causal, "decode_exact", info.exact_step,
                  "grid_bits", info.grid_bits, "conv_kernel", info.conv_kernel, "scan_kernel",
                  info.scan_kernel, "decode_kernel", info.step_kernel, "decode_state", info.state,
                  "beside", info.beside, "needs_outlier_scales", info.needs_outlier_scales);
    json_object_set_new(out, "grid_values",
                        info.grid_values > 0 ? json_integer(info.grid_values) : json_null());
    json_object_set_new(out, "same_as", same_json(datapath));
    json_object_set_new(out, "datapath", json_string(knobs));
    json_object_set_new(out, "knobs", knobs_json(datapath));
    return out;
}

/* ---- list ------------------------------------------------------------------------------------ */

static int list_json(void)
{
    json_t *list = json_array();
    for (size_t i = 0; quamba_datapath_at(i) != NULL; i++)
        json_array_append_new(list, row_json(quamba_datapath_at(i)));
    int status = qc_print_json(list);
    json_decref(list);
    return status;
}

static int list_table(void)
{
    static const char *const headings[] = {"mode",   "bits",    "causal",
                                           "decode", "summary", "same as"};
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (table == NULL) return qc_fail_memory();
    const quamba_datapath *row;
    bool failed = false;
    for (size_t i = 0; (row = quamba_datapath_at(i)) != NULL; i++) {
        const quamba_datapath_info info = quamba_datapath_get_info(row);
        qm_text same = {0};
        qm_text_puts(&same, "");
        add_same(&same, row);
        failed |= same.failed;
        qc_table_cell(table, "%s", quamba_datapath_id(row));
        qc_table_cell(table, "%d", (int)info.grid_bits);
        qc_table_cell(table, "%s", info.causal ? "yes" : "no");
        qc_table_cell(table, "%s", info.exact_step ? "exact" : "rounds");
        qc_table_cell(table, "%s%s", quamba_datapath_summary(row),
                      info.removed ? " (removed: not to be chosen)" : "");
        qc_table_cell(table, "%s", same.failed ? "" : same.data);
        qm_text_free(&same);
    }
    int status = failed ? qc_fail_memory() : qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

/* ---- show ------------------------------------------------------------------------------------ */

static int show_json(const quamba_datapath *datapath)
{
    json_t *out = row_json(datapath), *edges = json_array();
    quamba_edge_format edge;
    for (size_t i = 0; quamba_datapath_edge(datapath, i, &edge); i++)
        json_array_append_new(edges,
                              json_pack("{s:s, s:s}", "edge", edge.edge, "format", edge.format));
    json_object_set_new(out, "edges", edges);
    int status = qc_print_json(out);
    json_decref(out);
    return status;
}

/* The lines above the edges. */
static int print_facts(const quamba_datapath *datapath)
{
    const quamba_datapath_info info = quamba_datapath_get_info(datapath);
    qm_text same = {0};
    char knobs[400];
    quamba_datapath_describe(datapath, knobs, sizeof knobs);
    add_same(&same, datapath);
    if (same.failed) return qc_fail_memory();
    printf("mode         %s\n", quamba_datapath_id(datapath));
    printf("name         %s\n", quamba_datapath_summary(datapath));
    if (quamba_datapath_remark(datapath)[0] != '\0')
        printf("description  %s\n", quamba_datapath_remark(datapath));
    if (info.removed) printf("removed      not to be chosen as a mode\n");
    if (info.quantized) printf("knobs        %s\n", knobs);
    printf("kernels      convolution %s, scan %s, decode %s\n", info.conv_kernel, info.scan_kernel,
           info.step_kernel);
    if (info.beside[0] != '\0') printf("beside it    %s\n", info.beside);
    printf("same as      %s\n", same.size > 0 ? same.data : "-");
    printf("causal       %s\n", info.causal ? "yes" : "no: it looks at the whole prompt");
    if (info.quantized && info.grid_values > 0)
        printf("grid         %d values, %d bits\n", (int)info.grid_values, (int)info.grid_bits);
    else if (info.quantized)
        printf("grid         values not bounded, %d bits\n", (int)info.grid_bits);
    printf("decode       honours the mode; state %s; %s\n", info.state,
           info.exact_step ? "the bits of prefill" : "not the bits of prefill");
    if (info.needs_outlier_scales) printf("needs        --outlier-scales\n");
    qm_text_free(&same);
    return QC_OK;
}

static int show_text(const quamba_datapath *datapath)
{
    int status = print_facts(datapath);
    quamba_edge_format edge;
    if (status != QC_OK || !quamba_datapath_edge(datapath, 0, &edge)) return status;
    qc_table *table = qc_table_new((const char *const[]){"edge", "format"}, 2);
    if (table == NULL) return qc_fail_memory();
    for (size_t i = 0; quamba_datapath_edge(datapath, i, &edge); i++) {
        qc_table_cell(table, "%s", edge.edge);
        qc_table_cell(table, "%s", edge.format);
    }
    putchar('\n');
    status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static int no_such_mode(const char *id)
{
    qm_text ids = {0};
    for (size_t i = 0; quamba_datapath_at(i) != NULL; i++)
        qm_text_printf(&ids, "%s%s", i > 0 ? " " : "", quamba_datapath_id(quamba_datapath_at(i)));
    qc_fail(QC_USAGE, "modes: there is no mode \"%.60s\": %s", id, ids.failed ? "" : ids.data);
    qm_text_free(&ids);
    return QC_USAGE;
}

static int show(const qc_options *opt)
{
    if (opt->n_args < 2)
        return qc_fail(QC_USAGE, "modes show: of which mode? quamba modes show ID");
    const quamba_datapath *row = quamba_datapath_find(opt->args[1]);
    if (row == NULL) return no_such_mode(opt->args[1]);
    quamba_datapath *parsed;
    int status = qc_parse_datapath(&parsed, row, opt->datapath);
    if (status != QC_OK) return status;
    if (parsed != NULL) row = parsed;
    status = opt->json ? show_json(row) : show_text(row);
    quamba_datapath_free(&parsed);
    return status;
}

/* ---- knobs ----------------------------------------------------------------------------------- */

static int knobs_list_json(void)
{
    json_t *list = json_array();
    quamba_knob knob;
    for (size_t i = 0; quamba_datapath_knob(i, &knob); i++) {
        json_t *values = json_array();
        for (size_t v = 0; knob.values[v] != NULL; v++)
            json_array_append_new(values, json_string(knob.values[v]));
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o}", "name", knob.long_name, "short",
                                        knob.name, "meaning", knob.meaning, "values", values));
    }
    int status = qc_print_json(list);
    json_decref(list);
    return status;
}

static int knobs_list(void)
{
    qc_table *table = qc_table_new(
        (const char *const[]){"knob", "short", "values, the first is that of mode 0"}, 3);
    if (table == NULL) return qc_fail_memory();
    quamba_knob knob;
    bool failed = false;
    for (size_t i = 0; quamba_datapath_knob(i, &knob); i++) {
        qm_text values = {0};
        for (size_t v = 0; knob.values[v] != NULL; v++)
            qm_text_printf(&values, "%s%s", v > 0 ? " " : "", knob.values[v]);
        failed |= values.failed;
        qc_table_cell(table, "%s", knob.long_name);
        qc_table_cell(table, "%s", knob.name);
        qc_table_cell(table, "%s", values.failed ? "" : values.data);
        qm_text_free(&values);
    }
    int status = failed ? qc_fail_memory() : qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static int run(const qc_options *opt)
{
    const char *what = opt->args[0];
    const bool is_list = strcmp(what, "list") == 0, is_knobs = strcmp(what, "knobs") == 0;
    int status;
    if (strcmp(what, "verify") == 0) return qc_modes_verify(opt);
    if (!is_list && !is_knobs && strcmp(what, "show") != 0)
        return qc_fail(QC_USAGE,
                       "modes: \"%.60s\" is not known: list, show ID, knobs or verify MODEL", what);
    if (is_list || is_knobs) {
        if (opt->n_args > 1 || opt->datapath != NULL)
            return qc_fail(QC_USAGE, "modes %s: unexpected argument \"%s\"", what,
                           opt->n_args > 1 ? opt->args[1] : "--datapath");
        status = is_list ? (opt->json ? list_json() : list_table())
                         : (opt->json ? knobs_list_json() : knobs_list());
    } else {
        status = show(opt);
    }
    return status != QC_OK ? status : qc_finish_output();
}

const qc_command qc_cmd_modes = {
    .name = "modes",
    .usage = "list | knobs | show [OPTIONS] ID | verify [OPTIONS] MODEL",
    .summary = "list the numerical datapaths, or show one edge by edge",
    .description =
        "A mode says in which number format a value travels from one operator to the next.  On an "
        "unquantized checkpoint the default is fp32, on a quantized one 0.\n\n"
        "list shows for every mode the bits that the convolution's output needs, whether a token's "
        "result depends on earlier tokens only (causal), whether a decode step gives the bits of "
        "prefill (exact) or rounds the state, and which other modes compute the same bits.\n\n"
        "show prints the format at every edge of one mode: i8[s] are codes at scale s, g8[s] FP32 "
        "numbers on the grid of these codes, Q(x, s) is x quantized at s; RA rounds ties away from "
        "zero, RE to even.  With --datapath it shows the mode with some knobs changed; knobs lists "
        "these.\n\n"
        "verify runs a quantized model's first layers under pairs of modes and says which "
        "equivalences hold between them, to the bit or within what; status 1 when one does not.",
    .examples = "quamba modes list\n"
                "quamba modes show 2-4\n"
                "quamba modes show 0 --datapath conv_out=f32,x_proj_in=req,scan_in=val --json\n"
                "quamba modes verify quamba-demo-w8a8\n",
    .options = "datapath cpu threads pretrained-dir",
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
