/* quamba quantize: a floating-point checkpoint in, a W8A8 checkpoint out. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/mem.h"
#include "format/format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the call-backs of a run share. */
typedef struct watching {
    const qc_options *opt;
    const char *stage; /* the one that progress is shown for; NULL before the first */
    qc_progress progress;
} watching;

static void on_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    watching *w = user;
    if (w->stage == NULL || strcmp(w->stage, stage) != 0) {
        if (w->stage != NULL) qc_progress_finish(&w->progress);
        w->stage = stage;
        qc_progress_start(&w->progress, w->opt, stage, total, done);
    }
    qc_progress_update(&w->progress, done, NULL);
}

static bool on_cancelled(void *user)
{
    (void)user;
    return qc_interrupted();
}

/* ---- the result -------------------------------------------------------------------------------
 */

/* The parts of a model that a checkpoint's size is told for. */
typedef struct part {
    const char *name, *prefix; /* a tensor belongs to the first prefix that fits */
    qm_dtype dtype;            /* of its matrices */
    uint64_t bytes_before, bytes;
} part;

/* Where a checkpoint's tensors go; the type is that of a part's largest tensor. */
static void add_sizes(part *parts, size_t n, const qm_source *source, bool after)
{
    uint64_t largest[8] = {0};
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        uint64_t bytes = qm_tensor_bytes(t);
        size_t k = 0;
        while (k + 1 < n && strncmp(t->name, parts[k].prefix, strlen(parts[k].prefix)) != 0)
            k++;
        *(after ? &parts[k].bytes : &parts[k].bytes_before) += bytes;
        if (after && bytes > largest[k]) {
            largest[k] = bytes;
            parts[k].dtype = t->dtype;
        }
    }
}

/* What the written config.json says about how the scales were found. */
static json_t *recipe_of(const qm_source *source, const char *key)
{
    return json_object_get(json_object_get(qm_source_config(source), "quantization_config"), key);
}

/* The candidates of --percentile-alpha auto. */
static int print_search(const qc_options *opt, const qm_source *source)
{
    static const char *const headings[] = {"alpha", "perplexity", ""};
    const json_t *search = recipe_of(source, "percentile_alpha_search"), *one;
    const double chosen = json_real_value(recipe_of(source, "percentile_alpha"));
    size_t i;
    if (search == NULL || opt->quiet) return QC_OK;
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    if (table == NULL) return qc_fail_memory();
    json_array_foreach(json_object_get(search, "tried"), i, one)
    {
        const double alpha = json_real_value(json_object_get(one, "alpha"));
        qc_table_cell(table, "%.15g", alpha);
        qc_table_cell(table, "%.4f", json_real_value(json_object_get(one, "perplexity")));
        qc_table_cell(table, "%s", alpha == chosen ? "chosen" : "");
    }
    qc_note(opt,
            "perplexity of %" JSON_INTEGER_FORMAT " calibration texts (%" JSON_INTEGER_FORMAT
            " tokens) held back from the scales, by prefill",
            json_integer_value(json_object_get(search, "n_texts")),
            json_integer_value(json_object_get(search, "n_tokens")));
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status;
}

static int print_table(const part *parts, size_t n)
{
    static const char *const headings[] = {"part", "type", "MB before", "MB now"};
    qc_table *table = qc_table_new(headings, QM_COUNT(headings));
    uint64_t before = 0, now = 0;
    if (table == NULL) return qc_fail_memory();
    for (size_t k = 0; k <= n; k++) {
        const part total = {.name = "all", .bytes_before = before, .bytes = now};
        const part *p = k < n ? &parts[k] : &total;
        before += p->bytes_before;
        now += p->bytes;
        qc_table_cell(table, "%s", p->name);
        qc_table_cell(table, "%s", k < n ? qm_dtype_name(p->dtype) : "");
        qc_table_cell(table, "%.1f", 1e-6 * (double)p->bytes_before);
        qc_table_cell(table, "%.1f", 1e-6 * (double)p->bytes);
    }
    int status = qc_table_print(table, stdout);
    qc_table_free(&table);
    return status == QC_OK ? qc_finish_output() : status;
}

static int print_result(const qc_options *opt, const char *path, const part *parts, size_t n,
                        const qm_source *after, double seconds)
{
    json_t *list = json_array();
    for (size_t k = 0; k < n; k++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "part", parts[k].name, "type",
                                              qm_dtype_name(parts[k].dtype), "bytes_before",
                                              (json_int_t)parts[k].bytes_before, "bytes",
                                              (json_int_t)parts[k].bytes));
    json_t *result = json_pack(
        "{s:o, s:o, s:I, s:I, s:o, s:b, s:b, s:I, s:o, s:o}", "source",
        qc_json_text(path, strlen(path)), "output", qc_json_text(opt->output, strlen(opt->output)),
        "w_bits", (json_int_t)opt->w_bits, "a_bits", (json_int_t)opt->a_bits, "percentile_alpha",
        json_incref(recipe_of(after, "percentile_alpha")), "quantize_embedding",
        opt->quantize_embedding, "quantize_lm_head", opt->quantize_lm_head, "tensors",
        (json_int_t)qm_source_count(after), "parts", list, "seconds", qc_json_real(seconds));
    static const char *const more[] = {"calibration", "percentile_alpha_search"};
    for (size_t i = 0; i < QM_COUNT(more); i++)
        if (recipe_of(after, more[i]) != NULL)
            json_object_set(result, more[i], recipe_of(after, more[i]));
    int status = qc_print_json(result);
    json_decref(result);
    return status;
}

static int report(const qc_options *opt, const char *path, double seconds)
{
    part parts[] = {
        {"embedding", "backbone.embedding", QM_F16, 0, 0},
        {"layers",    "backbone.layers.",   QM_I8,  0, 0},
        {"head",      "",                   QM_F16, 0, 0},
    };
    quamba_error err;
    qm_source *before = NULL, *after = NULL;
    int status = QC_OK;
    if (qm_source_open(&before, path, &err) != QUAMBA_OK ||
        qm_source_open(&after, opt->output, &err) != QUAMBA_OK) {
        status = qc_fail_error(&err);
    } else {
        add_sizes(parts, QM_COUNT(parts), before, false);
        add_sizes(parts, QM_COUNT(parts), after, true);
        const size_t n = qm_source_count(after);
        if (opt->json) {
            status = print_result(opt, path, parts, QM_COUNT(parts), after, seconds);
        } else {
            status = print_search(opt, after);
            if (status == QC_OK) status = print_table(parts, QM_COUNT(parts));
            qc_note(opt, "%s: %zu tensors, written in %.1f s", opt->output, n, seconds);
        }
    }
    qm_source_close(&before);
    qm_source_close(&after);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------
 */

/* --percentile-alpha: a number, or auto. */
static int read_alpha(const qc_options *opt, quamba_quantize_options *o)
{
    const char *text = opt->percentile_alpha;
    char *end = NULL;
    o->search_alpha = strcmp(text, "auto") == 0;
    if (o->search_alpha) {
        if (opt->act_scales == NULL) return QC_OK;
        return qc_fail(QC_USAGE, "--percentile-alpha auto: the scales of --act-scales are given");
    }
    const bool starts = text[0] == '.' || (text[0] >= '0' && text[0] <= '9');
    o->percentile_alpha = starts ? strtod(text, &end) : 0;
    if (starts && *end == '\0' && o->percentile_alpha > 0 && o->percentile_alpha <= 1) return QC_OK;
    return qc_fail(QC_USAGE,
                   "--percentile-alpha: \"%s\" is neither auto nor a number above 0 and at most 1",
                   text);
}

int qc_quantize(const qc_options *opt, const char *path)
{
    if (opt->act_scales == NULL && !qc_given(opt, "calibration") &&
        !qm_path_is_file(opt->calibration))
        return qc_fail(QC_USAGE,
                       "quantize: there is no %s here: name --calibration FILE, texts to measure "
                       "the scales on, or --act-scales FILE",
                       opt->calibration);
    quamba_error err = {0};
    watching w = {.opt = opt};
    quamba_quantize_options o = quamba_quantize_options_default();
    o.w_bits = (int32_t)opt->w_bits;
    o.a_bits = (int32_t)opt->a_bits;
    o.act_scales = opt->act_scales;
    o.calibration = opt->calibration;
    o.calib_data_num = (int32_t)opt->calib_data_num;
    o.calib_seqlen = (int32_t)opt->calib_seqlen;
    o.quantize_embedding = opt->quantize_embedding;
    o.quantize_lm_head = opt->quantize_lm_head;
    o.cpu = opt->cpu;
    o.n_threads = qc_n_threads(opt);
    o.progress = on_progress;
    o.cancelled = on_cancelled;
    o.user = &w;
    int usage = read_alpha(opt, &o);
    if (usage != QC_OK) return usage;
    quamba_status status = quamba_quantize(path, opt->output, &o, &err);
    if (w.stage != NULL) qc_progress_finish(&w.progress);
    if (status == QUAMBA_E_CANCELLED) return qc_fail(QC_INTERRUPTED, "%s", err.message);
    return status == QUAMBA_OK ? QC_OK : qc_fail_error(&err);
}

static int run(const qc_options *opt)
{
    if (opt->output == NULL || opt->output[0] == '\0')
        return qc_fail(QC_USAGE, "quantize: --output DIR says where the result is written");
    if (opt->act_scales != NULL && qc_given(opt, "calibration"))
        return qc_fail(QC_USAGE, "--act-scales and --calibration exclude each other");
    int status = qc_check_cpu(opt);
    if (status != QC_OK) return status;
    char *path = qc_model_path(opt, opt->args[0]);
    if (path == NULL) return QC_FAILED;
    qc_catch_interrupts();
    double started = qc_now();
    status = qc_quantize(opt, path);
    if (status == QC_OK) status = report(opt, path, qc_now() - started);
    free(path);
    return status;
}

const qc_command qc_cmd_quantize = {
    .name = "quantize",
    .usage = "--output DIR [OPTIONS] MODEL",
    .summary = "quantize a checkpoint to 8-bit weights and activations",
    .description =
        "Reads a floating-point Mamba-1 checkpoint, folds its norms into the matrices behind them, "
        "rotates the residual stream, and writes a directory with 8-bit weights under upstream "
        "Quamba's names: config.json with the recipe, model.safetensors, act_scales.json, and the "
        "tokenizer's files as they were.  Embedding and head stay in half precision unless "
        "--quantize-embedding and --quantize-lm-head say otherwise.\n"
        "\n"
        "The activation scales are measured on the texts of --calibration, the first tokens of "
        "each, in half precision, or come from a file (--act-scales).  --percentile-alpha auto "
        "tries 0.999, 0.9995, 0.9999, 0.99999 and 1 and takes the one whose quantized model "
        "predicts held-back texts best: the last eighth of them, at most 64, by prefill.  The "
        "result is then that of the chosen number.  Equal input gives equal bytes, for any --cpu "
        "and --threads.\n"
        "\n"
        "Files that are there already are not replaced, and on failure nothing is left behind but "
        "DIR.calibration of a run that was interrupted: the same command goes on from it, to the "
        "same bytes as without a break.",
    .examples = "quamba quantize -o demo-w8a8 models/demo\n"
                "quamba quantize -o demo-auto --percentile-alpha auto models/demo\n",
    .options = "output calibration calib-data-num calib-seqlen act-scales percentile-alpha w-bits "
               "a-bits quantize-embedding "
               "quantize-lm-head cpu threads pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
