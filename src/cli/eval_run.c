/* The runs of `quamba eval`: which tasks and texts, and each from file to score. */
#include "cli/eval_report.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "eval/items.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens of a pass: with 512 a pass shares what it reads and widens among twice the rows of the
 * default; more gain nothing that can be measured. */
enum { MAX_ROWS = 512 };

/* ---- what is to be run ----------------------------------------------------------------------- */

static int add_run(qc_eval *e, const char *name, size_t n_name, const qm_task *task, char *path,
                   bool decode)
{
    char *copy = qm_strndup(name, n_name);
    if (path != NULL && copy != NULL &&
        qm_grow(&e->runs, &e->runs_capacity, e->n_runs + 1, sizeof *e->runs)) {
        e->runs[e->n_runs++] =
            (qc_eval_run){.name = copy, .path = path, .task = task, .decode = decode};
        for (size_t i = 0; i + 1 < e->n_runs; i++)
            if (strcmp(e->runs[i].name, copy) == 0 && e->runs[i].decode == decode)
                return qc_fail(QC_USAGE, "%s: %s is named twice", e->log.command->name, copy);
        return QC_OK;
    }
    free(copy);
    free(path);
    return qc_fail_memory();
}

/* One run, or with --scoring both two of them; takes path. */
static int add_runs(qc_eval *e, const char *name, size_t n_name, const qm_task *task, char *path)
{
    const bool both = strcmp(e->opt->scoring, "both") == 0;
    char *second = both && path != NULL ? qm_strndup(path, strlen(path)) : NULL;
    int status = add_run(e, name, n_name, task, path, strcmp(e->opt->scoring, "decode") == 0);
    if (!both || status != QC_OK) {
        free(second);
        return status;
    }
    return add_run(e, name, n_name, task, second, true);
}

static int fail_task(const char *name, size_t size)
{
    qm_text names = {0};
    for (size_t i = 0; qm_task_at(i) != NULL; i++)
        if (qm_task_at(i)->file != NULL)
            qm_text_printf(&names, "%s%s", i > 0 ? ", " : "", qm_task_at(i)->name);
    qc_fail(QC_USAGE, "--tasks: there is no task \"%.*s\": %s", (int)size, name,
            names.failed ? "see --help" : names.data);
    qm_text_free(&names);
    return QC_USAGE;
}

/* The comma-separated names of --tasks. */
static int add_tasks(qc_eval *e, const char *tasks, const char *data_dir)
{
    for (const char *at = tasks;; at++) {
        size_t size = strcspn(at, ",");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(size < 63 ? size : 63), at);
        const qm_task *task = qm_task_find(name);
        if (task == NULL || task->file == NULL) return fail_task(at, size);
        int status = add_runs(e, name, size, task, qm_path_join(data_dir, task->file));
        if (status != QC_OK) return status;
        at += size;
        if (*at == '\0') return QC_OK;
    }
}

/* --text FILE is called by the name of the file, without directory and ending. */
static int add_text(qc_eval *e, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t size = dot != NULL && dot > name ? (size_t)(dot - name) : strlen(name);
    json_t *key = json_stringn(name, size); /* fails where the name cannot be a key of JSON */
    if (key == NULL) size = strlen(name = "text");
    json_decref(key);
    return add_runs(e, name, size, qm_task_find("text"), qm_strndup(path, strlen(path)));
}

int qc_eval_choose(qc_eval *e)
{
    const qc_options *opt = e->opt;
    int status = QC_OK;
    if (opt->tasks != NULL) status = add_tasks(e, opt->tasks, opt->data_dir);
    if (opt->text != NULL && status == QC_OK) status = add_text(e, opt->text);
    if (opt->tasks == NULL && opt->text == NULL) {
        status = add_tasks(e, "cloze", opt->data_dir);
        if (status == QC_OK && (qc_given(opt, "data-dir") || !qm_path_is_file(e->runs[0].path)))
            return qc_fail(QC_USAGE, "%s: nothing to do: name --tasks A,B or --text FILE",
                           e->log.command->name);
    }
    quamba_error err = {0};
    for (size_t i = 0; i < e->n_runs && status == QC_OK; i++) /* before anything is scored */
        if (qm_task_check(e->runs[i].task, e->runs[i].path, &err) != QUAMBA_OK)
            status = qc_fail_error(&err);
    return status;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct watch {
    const qc_options *opt;
    const qc_debug *debug;
    const char *name;
    qc_progress progress;
    bool started;
} watch;

static void on_progress(void *user, uint64_t done, uint64_t total, const char *metric, double value)
{
    watch *w = user;
    char note[64] = "";
    if (!w->started) {
        qc_progress_start(&w->progress, w->opt, w->name, total, done);
        w->started = true;
    }
    if (!isnan(value)) snprintf(note, sizeof note, "%s %.4g", metric, value);
    qc_progress_update(&w->progress, done, note);
}

static bool on_cancelled(void *user)
{
    const watch *w = user;
    return qc_interrupted() || qc_debug_stops(w->debug);
}

/* LOGS/MODEL.MODE.TASK[.fewshotK-seedS][.float-KINDS][.decode][.limitN].jsonl: runs that differ on
 * purpose do not get in each other's way. */
static char *records_path(const qc_eval *e, const qc_eval_run *run)
{
    const qc_options *opt = e->opt;
    qm_text name = {0};
    char *path = NULL;
    qm_text_printf(&name, "%s.%s.%s%s", e->log_name, quamba_model_get_info(e->model).mode,
                   run->task->file != NULL ? "" : "text-", run->name);
    if (opt->fewshot > 0 && run->task->form != QM_TASK_TEXT)
        qm_text_printf(&name, ".fewshot%d-seed%lld", (int)opt->fewshot, (long long)opt->seed);
    if (opt->act_scales != NULL)
        qm_text_printf(&name, ".float-%s", opt->leave_float != NULL ? opt->leave_float : "none");
    if (run->decode) qm_text_puts(&name, ".decode");
    if (e->limit > 0) qm_text_printf(&name, ".limit%lld", (long long)e->limit);
    qm_text_puts(&name, ".jsonl");
    if (!name.failed) path = qm_path_join(opt->log_dir, name.data);
    qm_text_free(&name);
    return path;
}

static void say_interrupted(const qc_eval_run *run)
{
    unsigned long long done = run->result.n_done, total = run->result.n_items;
    if (run->records != NULL)
        qc_fail(QC_INTERRUPTED,
                "interrupted after %llu of %llu items of %s; the same command with --resume goes "
                "on",
                done, total, run->name);
    else
        qc_fail(QC_INTERRUPTED,
                "interrupted after %llu of %llu items of %s; with --log-dir a run can be resumed",
                done, total, run->name);
}

int qc_eval_score(qc_eval *e, qc_eval_run *run)
{
    const qc_options *opt = e->opt;
    quamba_session_options session = qc_session_options(opt);
    session.max_rows = MAX_ROWS;
    watch w = {.opt = opt, .debug = e->debug, .name = e->label ? e->label : run->name};
    qc_debug_watch(e->debug, &session);
    char identity[128];
    int n = snprintf(identity, sizeof identity, "%s, tokenizer %016llx", e->weights_hash,
                     (unsigned long long)e->tokenizer_hash);
    if (opt->act_scales != NULL)
        snprintf(identity + n, sizeof identity - (size_t)n, ", scales %016llx, float %x",
                 (unsigned long long)e->scales_hash, (unsigned)e->simulated_kinds);
    if (opt->log_dir != NULL && (run->records = records_path(e, run)) == NULL)
        return qc_fail_memory();
    quamba_eval_options o = quamba_eval_options_default();
    o.task = run->task->name;
    o.path = run->path;
    o.decode = run->decode;
    o.fewshot = run->task->form == QM_TASK_TEXT ? 0 : (int32_t)opt->fewshot;
    o.seed = (uint64_t)opt->seed;
    o.limit = (uint64_t)e->limit;
    o.records = run->records;
    o.identity = identity;
    o.resume = opt->resume;
    o.overwrite = opt->overwrite;
    o.progress = on_progress;
    o.cancelled = on_cancelled;
    o.user = &w;

    quamba_error err = {0};
    double start = qc_now();
    free(run->outcomes);
    run->status =
        qm_eval_items(e->model, e->tokenizer, &session, &o, &run->result, &run->outcomes, &err);
    run->seconds = qc_now() - start;
    run->was_started = true;
    if (w.started) qc_progress_finish(&w.progress);
    if (run->status == QUAMBA_OK) {
        if (run->result.n_resumed > 0)
            qc_note(opt, "%s: %llu items were taken from %s", run->name,
                    (unsigned long long)run->result.n_resumed, run->records);
        if (run->task->form == QM_TASK_TEXT && run->result.n_tokens < 2048)
            qc_note(opt, "%s: the text has only %llu tokens: scored as one segment of that length",
                    run->name, (unsigned long long)run->result.n_tokens);
        return QC_OK;
    }
    if (run->status != QUAMBA_E_CANCELLED) return qc_fail_error(&err);
    if (qc_debug_stops(e->debug)) return QC_FAILED; /* what it means: qc_debug_finish */
    say_interrupted(run);
    return QC_INTERRUPTED;
}
