/* What `quamba eval` measured: as a table, as JSON, and in the log. */
#ifndef QC_EVAL_REPORT_H
#define QC_EVAL_REPORT_H

#include "cli/cli.h"

#include "cli/debug.h"
#include "eval/stats.h"
#include "eval/task.h"

typedef struct qc_eval_run {
    char *name, *path, *records; /* owned; records is NULL without --log-dir */
    const qm_task *task;
    bool decode; /* scored token by token */
    bool was_started;
    quamba_status status;
    quamba_eval_result result;
    qm_outcome *outcomes; /* [result.n_done], owned */
    double seconds;
} qc_eval_run;

/* What a run is logged as. */
typedef struct qc_eval_log {
    const qc_command *command; /* the one that was typed */
    const qc_options *opt;     /* its options */
    const char *name;          /* of the log file, without ending; NULL: the model's */
    bool debug;                /* the debug output of a layer is shown unasked */
} qc_eval_log;

typedef struct qc_eval {
    const qc_options *opt;
    qc_eval_log log;
    int64_t limit; /* 0: none */
    quamba_tokenizer *tokenizer;
    quamba_model *model;
    qc_debug *debug;   /* NULL: nothing is shown */
    const char *label; /* of the progress; NULL: the task's name */
    char *log_name; /* the model's name, "_fp16" behind it when it is not quantized, or log.name */
    char weights_hash[17];
    uint64_t tokenizer_hash, scales_hash; /* of the file of --act-scales, 0 without it */
    uint32_t simulated_kinds;             /* with --act-scales, those left in floating point */
    qc_eval_run *runs;
    size_t n_runs, runs_capacity;
} qc_eval;

/* Fills runs from --tasks and --text, every file checked.  Returns an exit status. */
int qc_eval_choose(qc_eval *eval);

/* Scores one of them, with progress and records; a message when it is interrupted.  Returns an exit
 * status. */
int qc_eval_score(qc_eval *eval, qc_eval_run *run);

/* Fills log_name and the hashes.  Returns an exit status. */
int qc_eval_identify(qc_eval *eval, const char *model_path);

/* Prints the runs that were started, and with is_complete appends them to the log in --log-dir.
 * Returns an exit status. */
int qc_eval_report(const qc_eval *eval, bool is_complete);

void qc_eval_free(qc_eval *eval);

/* `quamba eval` on opt.  Returns an exit status. */
int qc_eval_tasks(const qc_options *opt, const qc_eval_log *log);

/* The last part of a path in new memory: "models/demo/" is "demo", "." is the name of the
 * directory; NULL without memory. */
char *qc_base_name(const char *path);

#endif
