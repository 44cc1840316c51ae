/* quamba eval: tasks and perplexity. */
#include "cli/eval_report.h"

#include "cli/beside.h"

#include "quant/simulate.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TESTING_LIMIT = 100 };

#define QC_KIND(id, name, text) ", " name

/* The text that rows beside the chosen one are run on, once. */
static int run_beside(const qc_eval *e)
{
    static const char text[] =
        "The old lighthouse keeper climbed the stairs every evening, and when he reached the lamp "
        "he would sit down and write what the sea had told him during the day.";
    quamba_error err = {0};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    if (quamba_tokenizer_encode(e->tokenizer, text, sizeof text - 1, &ids, &n_ids, &err) !=
        QUAMBA_OK)
        return qc_fail_error(&err);
    int status = qc_run_beside(e->opt, e->opt->args[0], e->model, ids, n_ids);
    quamba_free(ids);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* With --act-scales the model imitates W8A8 in floating point, some kinds of tensors left alone. */
static int open_simulation(qc_eval *e, const char *model_path)
{
    const qc_options *opt = e->opt;
    quamba_error err = {0};
    uint32_t kinds = 0;
    int status = qc_check_cpu(opt);
    if (status != QC_OK) return status;
    if (qm_kinds_parse(&kinds, opt->leave_float != NULL ? opt->leave_float : "none", &err) !=
        QUAMBA_OK) {
        qm_text kinds_text = {0};
        for (qm_kind kind = 0; kind < QM_N_KINDS; kind++)
            qm_text_printf(&kinds_text, "%s%s", kind > 0 ? ", " : "", qm_kind_name(kind));
        qc_fail(QC_USAGE, "--leave-float: %s: all, none, or some of %s", err.message,
                kinds_text.failed ? "" : kinds_text.data);
        qm_text_free(&kinds_text);
        return QC_USAGE;
    }
    if (qm_simulate(&e->model, model_path, opt->act_scales, kinds, opt->cpu, qc_n_threads(opt),
                    &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    e->simulated_kinds = kinds;
    return QC_OK;
}

static int open_all(qc_eval *e, const char *model_path)
{
    const qc_options *opt = e->opt;
    quamba_error err = {0};
    int status = qc_open_tokenizer(&e->tokenizer, opt, opt->args[0]);
    if (status == QC_OK && opt->act_scales != NULL)
        status = open_simulation(e, model_path);
    else if (status == QC_OK)
        status = qc_open_model(&e->model, opt, opt->args[0]);
    if (status == QC_OK) status = qc_check_vocabulary(e->tokenizer, e->model);
    if (status == QC_OK) status = qc_eval_identify(e, model_path);
    if (status == QC_OK && opt->log_dir != NULL && qm_make_dirs(opt->log_dir, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    return status;
}

int qc_eval_tasks(const qc_options *opt, const qc_eval_log *log)
{
    qc_eval e = {.opt = opt, .log = *log};
    if ((opt->resume || opt->overwrite) && opt->log_dir == NULL)
        return qc_fail(QC_USAGE, "--%s: needs the --log-dir of the run before",
                       opt->resume ? "resume" : "overwrite");
    if (opt->leave_float != NULL && opt->act_scales == NULL)
        return qc_fail(QC_USAGE, "--leave-float: needs --act-scales FILE, the scales of the rest");
    if (opt->act_scales != NULL && opt->mode != NULL)
        return qc_fail(QC_USAGE, "--act-scales imitates mode 0: it takes no mode");
    if (opt->resume && opt->overwrite)
        return qc_fail(QC_USAGE, "--resume and --overwrite exclude each other");
    e.limit = opt->limit > 0 ? opt->limit : opt->testing ? TESTING_LIMIT : 0;
    int status = qc_eval_choose(&e);
    char *model_path = status == QC_OK ? qc_weights_path(opt, opt->args[0]) : NULL;
    if (status == QC_OK) status = model_path == NULL ? QC_FAILED : open_all(&e, model_path);
    if (status == QC_OK && opt->act_scales == NULL) status = run_beside(&e);
    if (status == QC_OK) status = qc_debug_new(&e.debug, opt, e.model, log->debug);
    if (status == QC_OK) qc_catch_interrupts();
    bool begun = status == QC_OK;
    for (size_t i = 0; i < e.n_runs && status == QC_OK; i++)
        status = qc_eval_score(&e, &e.runs[i]);
    if (begun && !qc_debug_stops(e.debug)) {
        int printed = qc_eval_report(&e, status == QC_OK);
        if (status == QC_OK) status = printed;
    }
    status = qc_debug_finish(&e.debug, status);
    qc_eval_free(&e);
    free(model_path);
    return status;
}

static int run_eval(const qc_options *opt)
{
    return qc_eval_tasks(opt, &(qc_eval_log){.command = &qc_cmd_eval, .opt = opt});
}

const qc_command qc_cmd_eval = {
    .name = "eval",
    .usage = "[OPTIONS] MODEL",
    .summary = "score a model on tasks and texts",
    .description =
        "Scores a model on question sets (accuracy, accuracy by log-likelihood per character, "
        "perplexity of the last word) and on plain texts (perplexity), with standard errors.  "
        "Prompt forms and scoring rules are those of lm-evaluation-harness 0.4; perplexity of a "
        "text is taken over segments of 2048 tokens, each from a zero state.\n\n"
        "With --act-scales a floating-point checkpoint imitates its W8A8 form: weights and "
        "activations are rounded to the INT8 grids, sums stay FP32; --leave-float names kinds of "
        "tensors that are not rounded, to see what each costs: all, none" QM_KIND_LIST(
            QC_KIND) ".\n\n"
                     "Task files are JSON lines in --data-dir.  Without --tasks and --text the "
                     "project's own "
                     "cloze passages, data/cloze.jsonl, are scored.\n\n"
                     "With --log-dir every item leaves a record as it is finished, and the result "
                     "is appended "
                     "to a JSON log; a run that was interrupted goes on with --resume and gives "
                     "the same bits "
                     "as one without a break.  Without --resume a finished run's records are "
                     "replaced, an "
                     "unfinished run's only with --overwrite.",
    .examples = "quamba eval models/demo\n"
                "quamba eval --text README.md models/demo\n"
                "quamba eval --testing --log-dir logs --json models/demo\n",
    .options = "debug-layer scale-check quick-verify "
               "tasks text protocol fewshot scoring act-scales leave-float limit testing data-dir "
               "log-dir resume overwrite mode float-sim-asic-int8 strict-mode legacy-env "
               "datapath outlier-scales norm-f-fallback reference cpu threads seed pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run_eval,
};
