/* quamba main: the command line of the original's main.py, for scripts written for it. */
#include "cli/eval_report.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/format.h"
#include "model/config.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is not done ------------------------------------------------------------------------ */

static int refuse(const qc_options *opt)
{
    static const struct {
        const char *option, *reason;
    } refused[] = {
        {"fp32-ssm-input",             "mode 1 was removed: its B, C and dt were INT8 all the same; use --mode "
                           "3 for an FP32 convolution output with an FP32 scan, 6-1 for FP32 B, C "
                           "and dt as well, fp16 for the unquantized model"},
        {"float-sim-asic-research-se", "this feature was removed: the nearest mode is 4"             },
        {"float-sim-scale-factor",     "this feature was removed: the nearest mode is 5-3"           },
        {"eval-generation",            "not built: `quamba generate` writes text"                    },
        {"apply-gptq",                 "not built: weights are rounded to nearest"                   },
        {"hybrid-blocks",              "not built: all blocks have the same bits"                    },
        {"hybrid-blocks-config",       "not built: all blocks have the same bits"                    },
        {"high-precision-norm",        "not built: the final norm is computed in FP32"               },
    };
    for (size_t i = 0; i < QM_COUNT(refused); i++)
        if (qc_given(opt, refused[i].option))
            return qc_fail(QC_USAGE, "--%s: %s", refused[i].option, refused[i].reason);
    if (opt->group_heads) qc_warn("--group-heads belongs to Mamba2: it has no effect");
    return QC_OK;
}

/* ---- where models are ------------------------------------------------------------------------ */

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* "default", or "pa-" and as many digits as tell the number from every other. */
static void alpha_directory(const qc_options *opt, char out[64])
{
    char *end = NULL;
    double alpha = strtod(opt->percentile_alpha, &end);
    snprintf(out, 64, "default");
    if (!qc_given(opt, "percentile-alpha")) return;
    if (*end != '\0') { /* auto */
        snprintf(out, 64, "pa-%.40s", opt->percentile_alpha);
        return;
    }
    char digits[40];
    int precision = 1;
    do
        snprintf(digits, sizeof digits, "%.*g", precision++, alpha);
    while (strtod(digits, NULL) != alpha && precision <= 17);
    snprintf(out, 64, "pa-%s", digits);
}

/* PRETRAINED_DIR/OUTPUT_SUBDIR/ALPHA/NAME, in new memory; for a checkpoint still to be quantized,
 * mamba in the name becomes quamba and the bits are added. */
static char *stored_path(const qc_options *opt, const char *name, bool add_bits)
{
    char alpha[64];
    qm_text text = {0};
    alpha_directory(opt, alpha);
    qm_text_printf(&text, "%s/%s/%s/", opt->pretrained_dir, opt->output_subdir, alpha);
    const char *mamba = add_bits ? strstr(name, "mamba") : NULL;
    if (mamba != NULL)
        qm_text_printf(&text, "%.*squamba%s", (int)(mamba - name), name, mamba + strlen("mamba"));
    else
        qm_text_puts(&text, name);
    if (add_bits) qm_text_printf(&text, "-w%da%d", (int)opt->w_bits, (int)opt->a_bits);
    if (text.failed) qm_text_free(&text);
    return text.data;
}

static bool exists(const char *path)
{
    return path != NULL && (qm_path_is_dir(path) || qm_path_is_file(path));
}

/* The checkpoint that MODEL names, in new memory: a path as given; under --pretrained-dir NAME
 * itself, the stored path, ut-enyac/NAME.  NULL after a message. */
static char *find_model(const qc_options *opt)
{
    const char *name = opt->args[0];
    if (exists(name)) return qm_strndup(name, strlen(name));
    if (opt->pretrained_dir == NULL) {
        qc_fail(QC_FAILED,
                "%s: no such file or directory (--pretrained-dir says where names are looked up)",
                name);
        return NULL;
    }
    char *places[3] = {qm_path_join(opt->pretrained_dir, name),
                       stored_path(opt, last_part(name), false), NULL};
    char *hub = qm_path_join(opt->pretrained_dir, "ut-enyac");
    places[2] = hub != NULL ? qm_path_join(hub, name) : NULL;
    free(hub);
    char *found = NULL;
    for (size_t i = 0; i < QM_COUNT(places) && found == NULL; i++)
        if (exists(places[i])) found = qm_strndup(places[i], strlen(places[i]));
    if (places[0] == NULL || places[1] == NULL || places[2] == NULL)
        qc_fail_memory();
    else if (found == NULL)
        qc_fail(QC_FAILED, "%s: no such file or directory, nor are %s, %s, %s", name, places[0],
                places[1], places[2]);
    for (size_t i = 0; i < QM_COUNT(places); i++)
        free(places[i]);
    return found;
}

/* A checkpoint's config: is it quantized, and with which alpha (0: it does not say)? */
static int read_kind(const char *path, bool *quantized, double *alpha)
{
    quamba_error err = {0};
    qm_source *source = NULL;
    qm_config config;
    if (qm_source_open(&source, path, &err) != QUAMBA_OK) return qc_fail_error(&err);
    const json_t *json = qm_source_config(source);
    quamba_status status = qm_config_of(&config, source, &err);
    *quantized = status == QUAMBA_OK && config.quantized;
    *alpha = json_number_value(
        json_object_get(json_object_get(json, "quantization_config"), "percentile_alpha"));
    qm_source_close(&source);
    return status == QUAMBA_OK ? QC_OK : qc_fail_error(&err);
}

/* A stored model must be the one that was asked for. */
static int check_stored(const qc_options *opt, const char *path)
{
    bool quantized = false;
    double alpha = 0;
    char *end = NULL;
    const double wanted = strtod(opt->percentile_alpha, &end);
    int status = read_kind(path, &quantized, &alpha);
    if (status != QC_OK) return status;
    if (!quantized) return qc_fail(QC_FAILED, "%s: is not quantized; move it out of the way", path);
    if (alpha == 0 || *end != '\0' || alpha == wanted) return QC_OK;
    return qc_fail(QC_FAILED,
                   "%s: was made with --percentile-alpha %.17g, not %.17g: move it out of the way, "
                   "or name another --output-subdir",
                   path, alpha, wanted);
}

/* Replaces *path, an unquantized checkpoint, by the stored quantized one, made now if there is none
 * (*is_new). */
static int take_quantized(const qc_options *opt, char **path, bool *is_new)
{
    if (opt->pretrained_dir == NULL)
        return qc_fail(QC_USAGE, "--quantize: --pretrained-dir says where the result is stored");
    char *name = qc_base_name(*path);
    char *stored = name != NULL ? stored_path(opt, name, true) : NULL;
    free(name);
    if (stored == NULL) return qc_fail_memory();
    int status;
    if (exists(stored)) {
        qc_note(opt, "%s: stored by an earlier run", stored);
        status = check_stored(opt, stored);
    } else {
        qc_options quantize = *opt;
        quamba_error err = {0};
        quantize.output = stored;
        if (qm_path_is_file("calibration_cache.pkl"))
            qc_warn("calibration_cache.pkl is not read: --calibration FILE names texts");
        char *parent = qm_strndup(stored, (size_t)(last_part(stored) - stored));
        status = parent == NULL                            ? qc_fail_memory()
                 : qm_make_dirs(parent, &err) != QUAMBA_OK ? qc_fail_error(&err)
                                                           : qc_quantize(&quantize, *path);
        free(parent);
        *is_new = true;
    }
    free(*path);
    *path = stored;
    return status;
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* One run over some tasks, comma-separated. */
static int score(const qc_options *opt, const char *path, const char *tasks, int64_t fewshot,
                 const char *log_name, bool is_first)
{
    qc_options eval = *opt;
    eval.args = &path;
    eval.n_args = 1;
    eval.tasks = tasks;
    eval.fewshot = fewshot;
    eval.pretrained_dir = NULL;
    return qc_eval_tasks(
        &eval,
        &(qc_eval_log){.command = &qc_cmd_main, .opt = opt, .name = log_name, .debug = is_first});
}

static int score_all(const qc_options *opt, const char *path, const char *log_name)
{
    qm_text tasks = {0};
    int status = QC_OK;
    if (opt->eval_zero_shot) qm_text_puts(&tasks, opt->task_list);
    if (opt->eval_ppl) qm_text_printf(&tasks, "%s%s", tasks.size > 0 ? "," : "", opt->ppl_dataset);
    if (tasks.failed)
        status = qc_fail_memory();
    else if (tasks.size > 0)
        status = score(opt, path, tasks.data, 0, log_name, true);
    const bool is_first = tasks.size == 0;
    qm_text_free(&tasks);
    if (status == QC_OK && opt->eval_few_shot)
        status = score(opt, path, opt->task_list, opt->fewshot, log_name, is_first);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* MODEL_w8a8 for a model quantized in this run; else NULL, as `quamba eval` names its log. */
static char *log_name_of(const qc_options *opt, bool is_new)
{
    qm_text name = {0};
    if (!is_new) return NULL;
    char *model = qc_base_name(opt->args[0]);
    if (model != NULL)
        qm_text_printf(&name, "%s_w%da%d", model, (int)opt->w_bits, (int)opt->a_bits);
    free(model);
    return name.data;
}

static void print_command_line(const qc_options *opt)
{
    qm_text line = {0};
    for (int i = 0; i < opt->argc; i++)
        qm_text_printf(&line, "%s%s", i > 0 ? " " : "", opt->argv[i]);
    if (!line.failed) qc_note(opt, "%s", line.data);
    qm_text_free(&line);
}

static int run(const qc_options *opt)
{
    bool quantized = false, is_new = false;
    double alpha = 0;
    int status = refuse(opt);
    if (status == QC_OK) status = qc_check_cpu(opt);
    if (status != QC_OK) return status;
    const bool any = opt->eval_zero_shot || opt->eval_few_shot || opt->eval_ppl;
    if (!any)
        qc_warn("no task is asked for: --eval_zero_shot, --eval_few_shot and --eval_ppl score");
    char *path = find_model(opt);
    if (path == NULL) return QC_FAILED;
    qc_catch_interrupts();
    status = read_kind(path, &quantized, &alpha);
    if (status == QC_OK && opt->quantize && !quantized)
        status = take_quantized(opt, &path, &is_new);
    char *log_name = log_name_of(opt, is_new);
    if (status == QC_OK && any) status = score_all(opt, path, log_name);
    free(log_name);
    free(path);
    if (status == QC_OK) print_command_line(opt);
    return status;
}

const qc_command qc_cmd_main = {
    .name = "main",
    .usage = "[OPTIONS] MODEL",
    .summary = "the command line of the original's main.py",
    .description =
        "Takes the options of the original's main.py, so that its commands work after `python3 "
        "main.py` becomes `quamba main`.  MODEL is a path, or a name under --pretrained-dir: NAME "
        "itself, OUTPUT_SUBDIR/ALPHA/NAME, ut-enyac/NAME.\n\n"
        "With --quantize an unquantized model is replaced by its stored quantized form, "
        "PRETRAINED_DIR/OUTPUT_SUBDIR/ALPHA/NAME-w8a8 with mamba become quamba in NAME, which is "
        "calibrated and stored first if it is not there; ALPHA is \"default\", or \"pa-\" and the "
        "number of --percentile-alpha.  A quantized model stays what it is.\n\n"
        "Results are printed as `quamba eval` prints them and appended to LOG_DIR/MODEL.json; a "
        "model quantized in this run is logged as MODEL_w8a8, an unquantized one as MODEL_fp16.",
    .examples = "quamba main mamba-130m --pretrained_dir DIR --quantize --eval_zero_shot\n"
                "quamba main quamba-130m-w8a8 --pretrained_dir DIR --mode 2-4 \\\n"
                "    --eval_zero_shot --task_list lambada_openai --testing --log_dir logs\n",
    .options =
        "batch-size task-list eval-zero-shot eval-few-shot fewshot eval-generation testing limit "
        "eval-ppl ppl-dataset log-dir resume overwrite data-dir scoring quantize calibration "
        "calib-data-num calib-seqlen pretrained-dir output-subdir group-heads quantize-embedding "
        "quantize-lm-head apply-gptq w-bits a-bits hybrid-blocks hybrid-blocks-config "
        "percentile-alpha high-precision-norm mode float-sim-asic-int8 fp32-ssm-input "
        "float-sim-asic-research-se float-sim-scale-factor strict-mode legacy-env datapath "
        "outlier-scales norm-f-fallback reference cpu threads seed debug-layer scale-check "
        "quick-verify",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
