/* quamba trace: the values at any edge as files, and the check of such files. */
#include "trace/trace.h"

#include "base/file.h"
#include "cli/cli.h"
#include "datapath/datapath.h"
#include "eval/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ------------------------------------------------------------------------
 */

/* A number at *at, which moves behind it; false when there is none up to high. */
static bool read_number(const char **at, int64_t high, int64_t *value)
{
    char *end;
    if (**at < '0' || **at > '9') return false;
    errno = 0;
    *value = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0 && *value <= high;
}

/* "A:B", "A:", ":B", "A": tokens or layers [*first, *end) of n. */
static bool read_range(const char **at, int64_t n, int64_t *first, int64_t *end)
{
    *first = 0;
    *end = n;
    const bool has_first = **at != ':';
    if (has_first && !read_number(at, n - 1, first)) return false;
    if (**at != ':') {
        *end = *first + 1;
        return has_first;
    }
    ++*at;
    if (**at >= '0' && **at <= '9' && !read_number(at, n, end)) return false;
    return *first < *end;
}

static int read_layers(const qc_options *opt, bool *layers, int32_t n_layer)
{
    const char *at = opt->layers;
    for (int32_t i = 0; i <= n_layer; i++)
        layers[i] = at == NULL;
    while (at != NULL && *at != '\0') {
        int64_t first = n_layer, end = n_layer + 1;
        const char *begin = at;
        if (strncmp(at, "head", 4) == 0)
            at += 4;
        else if (!read_range(&at, n_layer, &first, &end))
            at = begin;
        if (at == begin || (*at != '\0' && (*at != ',' || at[1] == '\0')))
            return qc_fail(QC_USAGE,
                           "--layers: \"%.40s\" is none of the layers 0 .. %d, no range A:B of "
                           "them, and not head",
                           begin, (int)n_layer - 1);
        for (int64_t i = first; i < end; i++)
            layers[i] = true;
        at += *at == ',';
    }
    return QC_OK;
}

/* The edge that a misspelt name is nearest to. */
static const char *nearest_edge(const char *name)
{
    size_t best = 4;
    const char *nearest = NULL;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
        const size_t d = qm_edit_distance(name, qm_trace_edge_name((qm_trace_edge)i));
        if (d < best) nearest = qm_trace_edge_name((qm_trace_edge)i);
        if (d < best) best = d;
    }
    return nearest;
}

static int read_edges(const qc_options *opt, bool edges[QM_N_TRACE_EDGES])
{
    const bool all = opt->edges == NULL || strcmp(opt->edges, "all") == 0;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++)
        edges[i] = all;
    for (const char *at = all ? "" : opt->edges; *at != '\0';) {
        const size_t n = strcspn(at, ",");
        char name[40];
        snprintf(name, sizeof name, "%.*s", n < 39 ? (int)n : 39, at);
        const qm_trace_edge edge = qm_trace_edge_find(name);
        const char *nearest = nearest_edge(name);
        if (edge == QM_N_TRACE_EDGES)
            return qc_fail(QC_USAGE,
                           "--edges: there is no edge \"%s\"%s%s: `quamba trace --list-edges` "
                           "shows them all",
                           name, nearest ? "; did you mean " : "", nearest ? nearest : "");
        edges[edge] = true;
        at += n + (at[n] == ',');
    }
    return QC_OK;
}

/* --tokens and --prefill for a text of n tokens. */
static int read_tokens(const qc_options *opt, qm_trace_plan *plan, size_t n)
{
    int64_t first = 0, end = (int64_t)n;
    const char *at = opt->tokens;
    if (at != NULL && (!read_range(&at, (int64_t)n, &first, &end) || *at != '\0'))
        return qc_fail(QC_USAGE, "--tokens: \"%.40s\" is no range A:B within the text's %zu tokens",
                       opt->tokens, n);
    plan->first = (size_t)first;
    plan->n_tokens = (size_t)end;
    plan->n_prefill = opt->prefill >= 0 ? (size_t)opt->prefill : (size_t)end;
    if (plan->n_prefill > plan->n_tokens)
        return qc_fail(QC_USAGE, "--prefill: %zu tokens, but the trace ends after %zu",
                       plan->n_prefill, plan->n_tokens);
    return QC_OK;
}

static int read_text(const qc_options *opt, const char *name, int32_t **ids, size_t *n)
{
    quamba_tokenizer *tokenizer = NULL;
    quamba_error err = {0};
    qm_map map = {0};
    if ((opt->text != NULL) == (opt->prompt != NULL))
        return qc_fail(QC_USAGE, "trace: which text? --text FILE or --prompt TEXT");
    int status = qc_open_tokenizer(&tokenizer, opt, name);
    if (status == QC_OK && opt->text != NULL && qm_map_open(&map, opt->text, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    const char *text = opt->prompt != NULL ? opt->prompt : (const char *)map.data;
    const size_t size = opt->prompt != NULL ? strlen(opt->prompt) : map.size;
    if (status == QC_OK && size == 0) status = qc_fail(QC_USAGE, "trace: the text is empty");
    if (status == QC_OK &&
        quamba_tokenizer_encode(tokenizer, text, size, ids, n, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    qm_map_close(&map);
    quamba_tokenizer_close(&tokenizer);
    return status;
}

/* ---- watching ---------------------------------------------------------------------------------
 */

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    (void)total;
    qc_progress_update(user, done, NULL);
}

static bool on_cancelled(void *user)
{
    (void)user;
    return qc_interrupted();
}

static qm_trace_watch watch_with(const qc_options *opt, qc_progress *progress)
{
    return (qm_trace_watch){.session = qc_session_options(opt),
                            .progress = on_progress,
                            .cancelled = on_cancelled,
                            .user = progress};
}

/* The checkpoint's hash in hexadecimal. */
static int model_hash(const qc_options *opt, const char *name, char out[17])
{
    quamba_error err = {0};
    uint64_t hash = 0;
    char *path = qc_weights_path(opt, name);
    if (path == NULL) return QC_FAILED;
    int status = QC_OK;
    if (qm_checkpoint_hash(path, &hash, &err) != QUAMBA_OK) status = qc_fail_error(&err);
    snprintf(out, 17, "%016" PRIx64, hash);
    free(path);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static int print_written(const qc_options *opt, const qm_trace_plan *plan,
                         const qm_trace_summary *s)
{
    if (!opt->json) {
        qc_note(opt, "%s: %zu arrays of mode %s, %zu tokens, in %zu files, %.1f MB", opt->output,
                s->n_tensors, plan->model->datapath->id, plan->n_tokens - plan->first, s->n_files,
                1e-6 * (double)s->n_bytes);
        return QC_OK;
    }
    json_t *out =
        json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "output",
                  qc_json_text(opt->output, strlen(opt->output)), "mode", plan->model->datapath->id,
                  "model_hash", plan->model_hash, "first", (json_int_t)plan->first, "end",
                  (json_int_t)plan->n_tokens, "arrays", (json_int_t)s->n_tensors, "files",
                  (json_int_t)s->n_files, "bytes", (json_int_t)s->n_bytes);
    int status = qc_print_json(out);
    json_decref(out);
    return status == QC_OK ? qc_finish_output() : status;
}

static int write_plan(const qc_options *opt, const qm_trace_plan *plan)
{
    quamba_error err = {0};
    qc_progress progress;
    qm_trace_summary summary;
    const qm_trace_watch watch = watch_with(opt, &progress);
    qc_progress_start(&progress, opt, "trace", plan->n_tokens, 0);
    const quamba_status status = qm_trace_write(plan, &watch, opt->output, &summary, &err);
    qc_progress_finish(&progress);
    return status == QUAMBA_OK ? print_written(opt, plan, &summary) : qc_fail_error(&err);
}

static int write_trace(const qc_options *opt)
{
    const char *name = opt->args[0];
    quamba_model *model = NULL;
    int32_t *ids = NULL;
    bool *layers = NULL;
    size_t n = 0;
    char hash[17] = "";
    qm_trace_plan plan = {.model_hash = hash,
                          .parameters = !opt->no_parameters,
                          .format = qm_trace_format_find(opt->format),
                          .word_bits = (int32_t)opt->word_bits,
                          .lanes = (int32_t)opt->lanes};
    if (opt->output == NULL || opt->output[0] == '\0')
        return qc_fail(QC_USAGE, "trace: --output DIR says where the result is written");
    int status = read_edges(opt, plan.edges);
    if (status == QC_OK) status = qc_open_model(&model, opt, name);
    if (status == QC_OK) status = read_text(opt, name, &ids, &n);
    if (status == QC_OK) status = read_tokens(opt, &plan, n);
    if (status == QC_OK) {
        layers = qm_alloc((size_t)model->config.n_layer + 1, sizeof *layers);
        status = layers ? read_layers(opt, layers, model->config.n_layer) : qc_fail_memory();
    }
    if (status == QC_OK) status = model_hash(opt, name, hash);
    plan.model = model;
    plan.tokens = ids;
    plan.layers = layers;
    if (status == QC_OK) status = write_plan(opt, &plan);
    free(layers);
    quamba_free(ids);
    quamba_model_close(&model);
    return status;
}

/* ---- verifying --------------------------------------------------------------------------------
 */

static int load_request(qm_trace_request *request, const char *directory)
{
    quamba_error err = {0};
    qm_map map = {0};
    char *path = qm_path_join(directory, QM_TRACE_MANIFEST);
    if (path == NULL) return qc_fail_memory();
    int status = QC_OK;
    if (qm_map_open(&map, path, &err) != QUAMBA_OK)
        status = qc_fail(QC_FAILED, "%s", err.message);
    else if (qm_trace_request_parse(request, (const char *)map.data, map.size, &err) != QUAMBA_OK)
        status = qc_fail(QC_FAILED, "%.400s: %s", path, err.message);
    qm_map_close(&map);
    free(path);
    return status;
}

/* The options that open the model as the manifest says. */
static int options_of(qc_options *opt, const qm_trace_request *request)
{
    quamba_error err = {0};
    const quamba_datapath *row = quamba_datapath_find(request->mode);
    quamba_datapath *parsed = NULL;
    if (qc_given(opt, "mode") || qc_given(opt, "datapath"))
        return qc_fail(QC_USAGE, "trace --verify: the manifest says which mode was run");
    if (row == NULL)
        return qc_fail(QC_FAILED, "trace --verify: the manifest's mode \"%.60s\" is none",
                       request->mode);
    quamba_status status = QUAMBA_OK;
    if (request->knobs[0] != '\0') {
        status = quamba_datapath_parse(&parsed, row, request->knobs, &err);
        if (status == QUAMBA_OK) status = quamba_datapath_validate(parsed, &err);
        quamba_datapath_free(&parsed);
    }
    if (status != QUAMBA_OK)
        return qc_fail(QC_FAILED, "trace --verify: the manifest's datapath: %s", err.message);
    opt->mode = request->mode;
    opt->datapath = request->knobs[0] != '\0' ? request->knobs : NULL;
    opt->choice.knobs = NULL;
    return QC_OK;
}

static int print_findings(const qc_options *opt, const qm_trace_findings *f)
{
    const size_t n = f->n_faults < QM_TRACE_MAX_FAULTS ? f->n_faults : QM_TRACE_MAX_FAULTS;
    int status = QC_OK;
    if (opt->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(
                list, json_pack("{s:s, s:o}", "file", f->faults[i].file, "fault",
                                qc_json_text(f->faults[i].text, strlen(f->faults[i].text))));
        json_t *out = json_pack(
            "{s:b, s:I, s:I, s:I, s:I, s:o}", "holds", f->n_faults == 0, "arrays",
            (json_int_t)f->summary.n_tensors, "files", (json_int_t)f->summary.n_files, "bytes",
            (json_int_t)f->summary.n_bytes, "n_faults", (json_int_t)f->n_faults, "faults", list);
        status = qc_print_json(out);
        json_decref(out);
    } else {
        for (size_t i = 0; i < n; i++)
            printf("%s: %s\n", f->faults[i].file, f->faults[i].text);
        if (f->n_faults == 0)
            printf("%zu arrays in %zu files, %.1f MB: all as computed again\n",
                   f->summary.n_tensors, f->summary.n_files, 1e-6 * (double)f->summary.n_bytes);
    }
    if (status == QC_OK) status = qc_finish_output();
    if (status == QC_OK && f->n_faults > 0)
        status = qc_fail(QC_FAILED, "trace --verify: %zu faults", f->n_faults);
    return status;
}

static int verify_model(const qc_options *opt, const qm_trace_request *request)
{
    quamba_model *model = NULL;
    quamba_error err = {0};
    qm_trace_findings findings = {0};
    qc_progress progress;
    char hash[17];
    const qm_trace_watch watch = watch_with(opt, &progress);
    int status = model_hash(opt, opt->args[0], hash);
    if (status == QC_OK && strcmp(hash, request->model_hash) != 0)
        return qc_fail(QC_FAILED,
                       "%s: is not the model of the trace: its hash is %s, the manifest says %.40s",
                       opt->args[0], hash, request->model_hash);
    if (status == QC_OK) status = qc_open_model(&model, opt, opt->args[0]);
    if (status != QC_OK) return status;
    qm_trace_plan plan;
    quamba_status done = qm_trace_request_plan(&plan, request, model, &err);
    if (done == QUAMBA_OK) {
        qc_progress_start(&progress, opt, "verify", plan.n_tokens, 0);
        done = qm_trace_verify(&plan, request, &watch, opt->verify, &findings, &err);
        qc_progress_finish(&progress);
    }
    if (done == QUAMBA_OK)
        status = print_findings(opt, &findings);
    else if (done == QUAMBA_E_ARGUMENT) /* of the manifest, not of the command line */
        status = qc_fail(QC_FAILED, "trace --verify: %s", err.message);
    else
        status = qc_fail_error(&err);
    free(findings.faults);
    quamba_model_close(&model);
    return status;
}

static int verify_trace(const qc_options *opt)
{
    qm_trace_request *request = qm_alloc(1, sizeof *request);
    qc_options as_told = *opt;
    if (request == NULL) return qc_fail_memory();
    int status = load_request(request, opt->verify);
    if (status == QC_OK) status = options_of(&as_told, request);
    if (status == QC_OK) status = verify_model(&as_told, request);
    qm_trace_request_free(request);
    free(request);
    return status;
}

/* ---- the list of edges ------------------------------------------------------------------------
 */

static void shape_text(qm_trace_edge edge, const qm_config *c, char out[80])
{
    uint64_t shape[2];
    const char *names[2];
    int at = snprintf(out, 80, "token");
    for (int32_t i = 0, n = qm_trace_edge_axes(edge, c, shape, names); i < n; i++)
        at += snprintf(out + at, 80 - (size_t)at, ", %s", names[i]);
}

/* What the edges are in the mode of a model; without one, what they mean. */
static int list_edges(const qc_options *opt)
{
    static const char *const plain[] = {"edge", "axes", "meaning"};
    static const char *const described[] = {"edge", "type", "scale", "formula"};
    quamba_model *model = NULL;
    const qm_config none = {0};
    int status = opt->n_args > 0 ? qc_open_model(&model, opt, opt->args[0]) : QC_OK;
    if (status != QC_OK) return status;
    const qm_trace_setting setting = {.model = model, .prefill = true, .steps = opt->prefill >= 0};
    qc_table *table = model ? qc_table_new(described, 4) : qc_table_new(plain, 3);
    json_t *list = json_array();
    for (int32_t i = 0; table != NULL && i < QM_N_TRACE_EDGES; i++) {
        const qm_trace_edge edge = (qm_trace_edge)i;
        qm_trace_facts f = {0};
        char shape[80];
        shape_text(edge, model ? &model->config : &none, shape);
        qc_table_cell(table, "%s", qm_trace_edge_name(edge));
        json_t *one = json_pack("{s:s, s:s, s:s}", "edge", qm_trace_edge_name(edge), "axes", shape,
                                "meaning", qm_trace_edge_meaning(edge));
        json_array_append_new(list, one);
        if (model == NULL) {
            qc_table_cell(table, "%s", shape);
            qc_table_cell(table, "%s", qm_trace_edge_meaning(edge));
            continue;
        }
        qm_trace_describe(&f, &setting, qm_trace_edge_is_head(edge) ? model->config.n_layer : 0,
                          edge);
        qc_table_cell(table, "%s", f.absent ? "-" : qm_dtype_name(f.dtype));
        if (f.scale > 0.0f)
            qc_table_cell(table, "%.6g", (double)f.scale);
        else
            qc_table_cell(table, "%s", "");
        qc_table_cell(table, "%s", f.absent ? f.absent : f.formula);
        if (f.absent)
            json_object_set_new(one, "absent", json_string(f.absent));
        else
            json_object_update_new(one, json_pack("{s:s, s:s, s:s}", "type", qm_dtype_name(f.dtype),
                                                  "formula", f.formula, "inputs", f.inputs));
    }
    status = opt->json ? qc_print_json(list)
             : table   ? qc_table_print(table, stdout)
                       : qc_fail_memory();
    json_decref(list);
    qc_table_free(&table);
    quamba_model_close(&model);
    return status == QC_OK ? qc_finish_output() : status;
}

static int run(const qc_options *opt)
{
    if (opt->list_edges) return list_edges(opt);
    if (opt->n_args == 0)
        return qc_fail(QC_USAGE, "trace: of which model? quamba trace [OPTIONS] MODEL");
    if (opt->verify != NULL && (opt->output != NULL || opt->text != NULL || opt->prompt != NULL))
        return qc_fail(QC_USAGE, "trace: --verify writes nothing and takes its text from the "
                                 "manifest");
    qc_catch_interrupts();
    return opt->verify != NULL ? verify_trace(opt) : write_trace(opt);
}

const qc_command qc_cmd_trace = {
    .name = "trace",
    .usage = "[OPTIONS] --output DIR MODEL | --verify DIR MODEL",
    .summary = "write the values at any edge of any layer, with a manifest",
    .description =
        "Runs a text and writes what every edge of the chosen layers carries, token by token: from "
        "the norm to the logits, exact sums, pre-activations, decay and state among them, and the "
        "weights, biases and scales of the operators in between.  Every edge is computed from the "
        "edges before it by the scalar operators and must equal what the program itself has there, "
        "bit for bit; else nothing is written and the edge is named.\n"
        "\n"
        "Each array becomes a file such as layer00.conv_out.npy (safetensors: one file per layer). "
        "npy is NumPy's; bin is elements in little endian without a header; hex and mem are lines "
        "for $readmemh: two's complement of --word-bits for codes and sums, the bits of FP32 and "
        "half, the first of --lanes words lowest in its line.  manifest.json says of each array "
        "layer, shape, type, scale, the formula of its operator with the names of its inputs, and "
        "the file's sha256.  docs/trace.md explains the formulas.\n"
        "\n"
        "--prefill N reads the first N tokens as a prompt and the others as decode steps, which "
        "round the state where the mode does.  --list-edges lists the edges; with a MODEL their "
        "types, scales and formulas in its mode.  --verify computes everything again and names, "
        "file by file, the first value that is not what model, mode and tokens give; exit status 1 "
        "when there is one.\n"
        "\n"
        "The directory must not be there, or be empty; it appears whole or not at all.",
    .examples = "quamba trace --text story.txt --tokens 0:32 --layers 0,23 -o trace w8a8\n"
                "quamba trace --prompt Once --mode 2-4 --edges conv_in,conv_out -o t w8a8\n"
                "quamba trace --text story.txt --format hex --lanes 16 -o vectors w8a8\n"
                "quamba trace --verify trace w8a8\n"
                "quamba trace --list-edges --mode 2-4 w8a8\n",
    .options =
        "text prompt layers edges tokens prefill format word-bits lanes no-parameters output "
        "verify list-edges mode datapath outlier-scales norm-f-fallback reference "
        "float-sim-asic-int8 strict-mode legacy-env cpu threads pretrained-dir",
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
