/* quamba inspect: what a checkpoint holds and what would be inferred from it. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { N_FIRST = 16 };

/* tokenizer.json beside the weights. */
static bool has_tokenizer(const qm_source *source)
{
    const char *path = qm_source_path(source), *slash = strrchr(path, '/');
    char *dir = qm_strndup(path, slash != NULL ? (size_t)(slash - path) + 1 : 0);
    char *file = dir != NULL ? qm_path_join(dir, "tokenizer.json") : NULL;
    bool found = file != NULL && qm_path_is_file(file);
    free(dir);
    free(file);
    return found;
}

/* "[1, 256]" */
static void add_dims(qm_text *out, const int64_t *dims, int32_t n)
{
    qm_text_puts(out, "[");
    for (int32_t i = 0; i < n; i++)
        qm_text_printf(out, "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
    qm_text_puts(out, "]");
}

static json_t *dims_json(const int64_t *dims, int32_t n)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(dims[i]));
    return list;
}

static json_t *tensor_json(const qm_tensor *t)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:b}", "name", t->name, "dtype",
                     qm_dtype_name(t->dtype), "shape", dims_json(t->shape, t->ndim), "stride",
                     dims_json(t->stride, t->ndim), "bytes", (json_int_t)qm_tensor_bytes(t),
                     "python_float", t->python_float);
}

/* ---- the whole checkpoint -------------------------------------------------------------------- */

static const char *head_text(const qc_findings *f)
{
    switch (f->head) {
    case QC_HEAD_NONE:
        return "the embedding (there is no lm_head.weight)";
    case QC_HEAD_TIED:
        return "tied: lm_head.weight equals the embedding";
    case QC_HEAD_OWN:
        break;
    }
    return "lm_head.weight, not the embedding";
}

/* One line per kind: the same name in other layers, with the same replacement, is counted. */
static void print_replaced(const json_t *replaced)
{
    size_t n = json_array_size(replaced);
    const char *last = "";
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(replaced, i);
        const char *instead = json_string_value(json_object_get(item, "instead"));
        if (strcmp(instead, last) == 0) continue;
        printf("  not there   %s\n              %s\n",
               json_string_value(json_object_get(item, "name")), instead);
        last = instead;
    }
}

static void print_modules(const qm_source *source, int32_t n_layer)
{
    json_t *modules = qc_modules_json(source, n_layer);
    const char *name;
    json_t *kind;
    bool first = true;
    json_object_foreach(modules, name, kind)
    {
        printf("%s%s %s", first ? "\n  modules     " : ", ", name, json_string_value(kind));
        first = false;
    }
    json_decref(modules);
}

static void print_findings(const qc_findings *f, const qm_source *source)
{
    char types[64];
    const qm_config *c = &f->config;
    printf("%s\n  container   %s, %zu tensors, %" PRIu64 " elements, %" PRIu64 " bytes\n",
           qm_source_path(source), qm_source_format(source), qm_source_count(source), f->n_elements,
           f->n_bytes);
    if (qm_source_skipped(source) > 0)
        printf("              and %zu entries that are no numbers\n", qm_source_skipped(source));
    printf("  model       %s", f->kind);
    const struct {
        const char *name;
        int32_t value;
    } sizes[] = {
        {"n_layer",    c->n_layer},
        {"d_model",    c->d_model},
        {"d_inner",    c->d_inner},
        {"d_state",    c->d_state},
        {"d_conv",     c->d_conv },
        {"dt_rank",    c->dt_rank},
        {"vocabulary", c->n_vocab}
    };
    for (size_t i = 0; i < QM_COUNT(sizes); i++)
        if (sizes[i].value > 0) printf(", %s %" PRId32, sizes[i].name, sizes[i].value);
    printf("\n  matrices    %s\n", qc_type_names(f->matrix_types, types));
    printf("  the rest    %s", qc_type_names(f->vector_types, types));
    if (f->n_python_floats > 0) printf(", %zu Python floats", f->n_python_floats);
    if (f->is_mamba) printf("\n  head        %s", head_text(f));
    if (c->quantized) print_modules(source, c->n_layer);
    const json_t *json = qm_source_config(source);
    char *config = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    printf("\n  config.json %s\n", config != NULL ? config : "none");
    free(config);
    printf("  tokenizer   %s\n", has_tokenizer(source) ? "yes" : "no tokenizer.json");
    if (f->problem[0] != '\0') printf("  problem     %s\n", f->problem);
    if (!f->missing_known) return;
    size_t n = json_array_size(f->missing), n_shown = n > 20 ? 20 : n;
    printf("  missing     %s\n", n > 0 ? "" : "nothing");
    for (size_t i = 0; i < n_shown; i++)
        printf("              %s\n", json_string_value(json_array_get(f->missing, i)));
    if (n_shown < n) printf("              and %zu more\n", n - n_shown);
    print_replaced(f->replaced);
}

static int print_tensors(const qm_source *source)
{
    qc_table *table =
        qc_table_new((const char *const[]){"tensor", "type", "shape", "strides", "bytes"}, 5);
    if (table == NULL) return qc_fail_memory();
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        qm_text shape = {0}, stride = {0};
        add_dims(&shape, t->shape, t->ndim);
        if (!qm_tensor_is_contiguous(t)) add_dims(&stride, t->stride, t->ndim);
        qc_table_cell(table, "%s", t->name);
        qc_table_cell(table, "%s", t->python_float ? "float" : qm_dtype_name(t->dtype));
        qc_table_cell(table, "%s", shape.failed ? "" : shape.data);
        qc_table_cell(table, "%s", stride.data != NULL && !stride.failed ? stride.data : "");
        qc_table_cell(table, "%" PRIu64, qm_tensor_bytes(t));
        qm_text_free(&shape);
        qm_text_free(&stride);
    }
    putchar('\n');
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static json_t *known(int32_t size) { return size > 0 ? json_integer(size) : json_null(); }

static json_t *inferred_json(const qc_findings *f)
{
    static const char *const heads[] = {
        [QC_HEAD_NONE] = "embedding", [QC_HEAD_TIED] = "tied", [QC_HEAD_OWN] = "own"};
    char matrices[64], vectors[64];
    const qm_config *c = &f->config;
    return json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:O?, s:O?, s:s?}",
        "architecture", f->kind, "quantized", c->quantized, "n_layer", known(c->n_layer), "d_model",
        known(c->d_model), "d_inner", known(c->d_inner), "d_state", known(c->d_state), "d_conv",
        known(c->d_conv), "dt_rank", known(c->dt_rank), "n_vocab", known(c->n_vocab), "matrices",
        qc_type_names(f->matrix_types, matrices), "vectors",
        qc_type_names(f->vector_types, vectors), "head", heads[f->head], "missing",
        f->missing_known ? f->missing : NULL, "replaced", f->missing_known ? f->replaced : NULL,
        "problem", f->problem[0] != '\0' ? f->problem : NULL);
}

static int print_json(const qc_findings *f, const qm_source *source)
{
    const char *path = qm_source_path(source);
    const bool quantized = f->config.quantized;
    json_t *tensors = json_array();
    for (size_t i = 0; i < qm_source_count(source); i++)
        json_array_append_new(tensors, tensor_json(qm_source_at(source, i)));
    json_t *result =
        json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:O?, s:O?, s:o, s:o?, s:o?}",
                  "path", qc_json_text(path, strlen(path)), "format", qm_source_format(source),
                  "n_tensors", (json_int_t)qm_source_count(source), "n_elements",
                  (json_int_t)f->n_elements, "bytes", (json_int_t)f->n_bytes, "python_floats",
                  (json_int_t)f->n_python_floats, "skipped", (json_int_t)qm_source_skipped(source),
                  "tokenizer", has_tokenizer(source), "inferred", inferred_json(f), "config",
                  qm_source_config(source), "metadata", qm_source_metadata(source), "tensors",
                  tensors, "modules", quantized ? qc_modules_json(source, f->config.n_layer) : NULL,
                  "scales", quantized ? qc_scales_json(source, f->config.n_layer) : NULL);
    int status = qc_print_json(result);
    json_decref(result);
    return status;
}

static int inspect_all(const qc_options *opt, const qm_source *source)
{
    qc_findings found;
    int status = QC_OK;
    if (!qc_findings_make(&found, source)) {
        status = qc_fail_memory();
    } else if (qc_given(opt, "layer") && opt->layer >= found.config.n_layer) {
        status = qc_fail(QC_FAILED, "%s: has no layer %" PRId64 ": there are %" PRId32,
                         qm_source_path(source), opt->layer, found.config.n_layer);
    } else if (qc_given(opt, "layer") && !opt->json) {
        status = qc_layer_print(source, (int32_t)opt->layer);
    } else if (opt->json) {
        status = print_json(&found, source);
    } else {
        print_findings(&found, source);
        if (found.config.quantized) status = qc_scales_print(source, found.config.n_layer);
        if (status == QC_OK) status = print_tensors(source);
    }
    qc_findings_free(&found);
    return status;
}

/* ---- one tensor ------------------------------------------------------------------------------ */

static int tensor_as_json(const qm_tensor *t, const qc_statistics *s, const double *first,
                          size_t n_first)
{
    json_t *result = tensor_json(t), *values = json_array();
    for (size_t i = 0; i < n_first; i++)
        json_array_append_new(values, qc_json_real(first[i]));
    json_t *more =
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)s->n, "nan",
                  (json_int_t)s->n_nan, "inf", (json_int_t)s->n_inf, "zeros", (json_int_t)s->n_zero,
                  "min", qc_json_real(s->min), "max", qc_json_real(s->max), "mean",
                  qc_json_real(s->mean), "absmax", qc_json_real(s->absmax), "first", values);
    int status = json_object_update(result, more) == 0 ? qc_print_json(result) : qc_fail_memory();
    json_decref(result);
    json_decref(more);
    return status;
}

static void tensor_as_text(const qm_tensor *t, const qc_statistics *s, const double *first,
                           size_t n_first)
{
    qm_text stride = {0};
    char shown[192];
    add_dims(&stride, t->stride, t->ndim);
    printf("%s\n  type     %s%s\n  strides  %s%s\n  bytes    %" PRIu64 "\n", t->name,
           qm_tensor_describe(t, shown), t->python_float ? ", a Python float" : "",
           stride.failed ? "" : stride.data, qm_tensor_is_contiguous(t) ? " (row-major)" : "",
           qm_tensor_bytes(t));
    qm_text_free(&stride);
    printf("  elements %" PRIu64 ": %" PRIu64 " zero, %" PRIu64 " NaN, %" PRIu64 " infinite\n",
           s->n, s->n_zero, s->n_nan, s->n_inf);
    printf("  min      %.9g\n  max      %.9g\n  mean     %.9g\n  absmax   %.9g\n  first   ", s->min,
           s->max, s->mean, s->absmax);
    for (size_t i = 0; i < n_first; i++)
        printf(" %.9g", first[i]);
    printf("%s\n", n_first < s->n ? " ..." : "");
}

static int inspect_tensor(const qc_options *opt, const qm_source *source)
{
    const qm_tensor *t = qm_source_find(source, opt->tensor);
    if (t == NULL)
        return qc_fail(QC_FAILED, "%s: has no tensor \"%s\"; without --tensor all are listed",
                       qm_source_path(source), opt->tensor);
    qc_statistics s;
    double first[N_FIRST];
    qc_tensor_statistics(t, &s, first, N_FIRST);
    size_t n_first = s.n < N_FIRST ? (size_t)s.n : N_FIRST;
    if (opt->json) return tensor_as_json(t, &s, first, n_first);
    tensor_as_text(t, &s, first, n_first);
    return QC_OK;
}

static int run(const qc_options *opt)
{
    quamba_error err;
    qm_source *source = NULL;
    char *path = qc_model_path(opt, opt->args[0]);
    if (path == NULL) return QC_FAILED;
    int status = QC_OK;
    if (qm_source_open(&source, path, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    else
        status = opt->tensor != NULL ? inspect_tensor(opt, source) : inspect_all(opt, source);
    qm_source_close(&source);
    free(path);
    return status != QC_OK ? status : qc_finish_output();
}

const qc_command qc_cmd_inspect = {
    .name = "inspect",
    .usage = "[OPTIONS] MODEL",
    .summary = "show what a checkpoint holds and what it implies",
    .description =
        "Lists the tensors of a checkpoint directory or file with their types, shapes and sizes, "
        "strides where they are not row-major, and what the names and shapes say of the model: "
        "its kind and sizes, its head, what is missing; of a quantized one, the kind of each "
        "module "
        "and a table of the scales.  With --layer, every tensor of one layer, with the numbers in "
        "full (--json has those of all layers).  With --tensor, one tensor: its range, mean and "
        "first values.",
    .examples = "quamba inspect models/demo\n"
                "quamba inspect --tensor backbone.norm_f.weight models/demo\n"
                "quamba inspect --layer 0 models/demo\n"
                "quamba inspect --json models/demo\n",
    .options = "tensor layer pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
