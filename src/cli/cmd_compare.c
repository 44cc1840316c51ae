/* quamba compare: several modes or checkpoints on the same items. */
#include "cli/compare.h"

#include "base/file.h"
#include "base/text.h"
#include "cli/compare_page.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 256 << 20 }; /* for the first run's edges */

/* ---- scores -----------------------------------------------------------------------------------
 */

/* *n_scored: runs that have all their scores. */
static int score_all(qc_compare *c, size_t *n_scored)
{
    int status = QC_OK;
    for (*n_scored = 0; *n_scored < c->n_runs; ++*n_scored)
        for (size_t t = 0; t < qc_compare_n_tasks(c); t++) {
            qc_eval *eval = &c->runs[*n_scored].eval;
            status = qc_eval_score(eval, &eval->runs[t]);
            if (status != QC_OK) return status;
        }
    return status;
}

/* ---- edges ------------------------------------------------------------------------------------
 */

typedef struct watch {
    const qc_options *opt;
    qc_progress progress;
    bool started;
} watch;

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    watch *w = user;
    if (!w->started) qc_progress_start(&w->progress, w->opt, "edges", total, 0);
    w->started = true;
    qc_progress_update(&w->progress, done, NULL);
}

static bool on_cancelled(void *user)
{
    (void)user;
    return qc_interrupted();
}

static int compare_edges(qc_compare *c)
{
    const qc_options *opt = c->opt;
    const qc_eval_run *first = &c->runs[0].eval.runs[0];
    const size_t n_tokens = (size_t)opt->edge_tokens;
    quamba_error err = {0};
    watch w = {.opt = opt};
    if (n_tokens == 0) return QC_OK;
    if (qm_sample_open(&c->sample, first->task, first->path, c->tokenizer,
                       (uint64_t)c->runs[0].eval.limit, n_tokens, &err) != QUAMBA_OK)
        return qc_fail_error(&err);
    const quamba_model **models = malloc(c->n_runs * sizeof *models);
    if (models == NULL) return qc_fail_memory();
    for (size_t i = 0; i < c->n_runs; i++)
        models[i] = c->runs[i].eval.model;
    const qm_compare_options options = {.models = models,
                                        .n_runs = c->n_runs,
                                        .sample = &c->sample,
                                        .cpu = opt->cpu,
                                        .n_threads = qc_n_threads(opt),
                                        .parting = opt->first_divergence,
                                        .memory_bytes = RECORD_BYTES,
                                        .progress = on_progress,
                                        .cancelled = on_cancelled,
                                        .user = &w};
    const quamba_status status = qm_compare(&c->edges, &options, &err);
    free(models);
    if (w.started) qc_progress_finish(&w.progress);
    if (status == QUAMBA_OK) return QC_OK;
    if (status != QUAMBA_E_CANCELLED) return qc_fail_error(&err);
    return qc_fail(QC_INTERRUPTED, "interrupted while edges were compared; %s",
                   opt->log_dir != NULL
                       ? "the same command with --resume keeps the scores"
                       : "with --log-dir the scores are kept and a run can be resumed");
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* The command as it can be typed again: arguments in single quotes where the shell needs them. */
static json_t *command_line(const qc_options *opt)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._/,:=+@%-";
    qm_text line = {0};
    for (int i = 0; i < opt->argc; i++) {
        const char *argument = opt->argv[i];
        if (i > 0) qm_text_puts(&line, " ");
        if (argument[0] != '\0' && argument[strspn(argument, plain)] == '\0') {
            qm_text_puts(&line, argument);
            continue;
        }
        qm_text_puts(&line, "'");
        for (; *argument != '\0'; argument++)
            *argument == '\'' ? qm_text_puts(&line, "'\\''") : qm_text_add(&line, argument, 1);
        qm_text_puts(&line, "'");
    }
    json_t *text = line.failed ? NULL : qc_json_text(line.data, line.size);
    qm_text_free(&line);
    return text;
}

/* The page has the document, and the command that made it. */
static int write_page(const qc_options *opt, const json_t *document)
{
    quamba_error err = {0};
    json_t *page = json_copy((json_t *)document); /* jansson's signature; it is only read */
    int status = QC_OK;
    if (page == NULL || json_object_set_new(page, "command", command_line(opt)) != 0)
        status = qc_fail_memory();
    else if (qc_compare_page_write(opt->html, page, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    json_decref(page);
    return status;
}

static int write_all(const qc_compare *c)
{
    const qc_options *opt = c->opt;
    int status = opt->csv != NULL ? qc_compare_write_csv(c, opt->csv) : QC_OK;
    json_t *document = opt->json || opt->html != NULL ? qc_compare_json(c) : NULL;
    if (status == QC_OK && opt->html != NULL)
        status = document != NULL ? write_page(opt, document) : qc_fail_memory();
    if (status == QC_OK) status = opt->json ? qc_print_json(document) : qc_compare_print(c);
    json_decref(document);
    return status;
}

/* What an interrupted comparison has: the scores of the runs that are through. */
static void print_scores(qc_compare *c, size_t n_scored)
{
    const size_t n_runs = c->n_runs;
    qm_comparison_free(&c->edges);
    c->n_runs = n_scored;
    if (n_scored > 0 && !c->opt->json) qc_compare_print(c);
    c->n_runs = n_runs;
}

/* A file that cannot be written is better known before hours of work than after. */
static int check_writable(const char *path)
{
    quamba_error err = {0};
    qm_writer *writer = NULL;
    if (path == NULL) return QC_OK;
    const quamba_status status = qm_writer_open(&writer, path, &err);
    qm_writer_close(&writer);
    return status == QUAMBA_OK ? QC_OK : qc_fail_error(&err);
}

static int run_compare(const qc_options *opt)
{
    qc_compare c = {.opt = opt};
    quamba_error err = {0};
    if ((opt->resume || opt->overwrite) && opt->log_dir == NULL)
        return qc_fail(QC_USAGE, "--%s: needs the --log-dir of the run before",
                       opt->resume ? "resume" : "overwrite");
    if (opt->resume && opt->overwrite)
        return qc_fail(QC_USAGE, "--resume and --overwrite exclude each other");
    if (opt->first_divergence && opt->edge_tokens == 0)
        return qc_fail(QC_USAGE, "--first-divergence looks at edges: not with --edge-tokens 0");
    int status = check_writable(opt->csv);
    if (status == QC_OK) status = check_writable(opt->html);
    if (status == QC_OK) status = qc_compare_choose(&c);
    if (status == QC_OK) status = qc_compare_open(&c);
    if (status == QC_OK && opt->log_dir != NULL && qm_make_dirs(opt->log_dir, &err) != QUAMBA_OK)
        status = qc_fail_error(&err);
    if (status == QC_OK) qc_catch_interrupts();
    size_t n_scored = 0;
    if (status == QC_OK) status = score_all(&c, &n_scored);
    if (status == QC_OK) status = compare_edges(&c);
    if (status == QC_OK) status = write_all(&c);
    if (status == QC_INTERRUPTED) print_scores(&c, n_scored);
    qc_compare_free(&c);
    return status;
}

const qc_command qc_cmd_compare = {
    .name = "compare",
    .usage = "[OPTIONS] MODEL",
    .summary = "compare modes and checkpoints on the same items",
    .description =
        "Scores several runs on the same items and says how far each is from the first: task "
        "scores with McNemar's exact test and the 95 % interval of the difference in "
        "log-likelihood per item; on a sample of the text the Kullback-Leibler divergence of every "
        "prediction and the agreement of the top token; and layer by layer and edge by edge "
        "maximum and RMS error, signal to noise, cosine, codes that differ, codes that saturate, "
        "and the largest value against the range of its format.\n\n"
        "--modes is a list of runs: a mode (2-4), a mode with knobs changed "
        "(0:conv_out=f32,x_proj_in=req,scan_in=req), and either of them after the NAME of a "
        "--model and a colon (B:2-4).  NAME alone is that checkpoint's default.  fp32 and fp16 run "
        "the --reference.  Without --modes a quantized model runs in the seven modes, or, where "
        "there is a --model, every checkpoint in its default.\n\n"
        "Task files and records are those of `quamba eval`: with --log-dir every item leaves a "
        "record, and --resume goes on with an interrupted comparison.\n\n"
        "--json prints one document, --csv FILE writes one line per run, layer, edge and measure; "
        "both are described in docs/compare.md.  --html FILE writes a page with the datapath "
        "drawn, a "
        "heat map of layers and edges, distributions and scores with their intervals.  "
        "--first-divergence names the first layer, edge, "
        "token and channel, in the order of the datapath, where a run parts from the first.",
    .examples = "quamba compare --modes 0,2-4,3 demo-w8a8\n"
                "quamba compare --modes fp32,0,2-4 --reference models/demo demo-w8a8\n"
                "quamba compare --model B:other --modes 0,B:0 --first-divergence demo-w8a8\n",
    .options = "modes model reference tasks text limit data-dir edge-tokens first-divergence csv "
               "html log-dir resume overwrite outlier-scales norm-f-fallback cpu threads "
               "pretrained-dir",
    .min_args = 1,
    .max_args = 1,
    .run = run_compare,
};
