/* The program's frame: options, help, messages, progress, tables.  A command is one file cmd_X.c
 * that defines qc_cmd_X, and one line in commands.def; an option is one line in options.def.  Only
 * env.c reads the environment.  stdout carries results, stderr everything else. */
#ifndef QC_CLI_H
#define QC_CLI_H

#include "cli/select.h"
#include "quamba/quamba.h"

#include <jansson.h>
#include <stdio.h>

/* Exit statuses. */
enum {
    QC_OK = 0,
    QC_FAILED = 1,       /* the work failed: a bad file, no memory, a check that does not hold */
    QC_USAGE = 2,        /* the command line, the environment or a mode is wrong */
    QC_INTERRUPTED = 130 /* Ctrl-C, after everything finished so far was saved */
};

/* All values that any option can set, at their defaults first, then from the environment, then from
 * the command line: one field per line of options.def.  Strings are borrowed from argv or the
 * environment; a string option not given is NULL unless options.def has a default. */
typedef struct qc_options {
#define QC_FLAG(field, name, help) bool field;
#define QC_INT(field, name, argument, low, high, initial, help) int64_t field;
#define QC_REAL(field, name, argument, low, high, initial, help) double field;
#define QC_STRING(field, name, argument, initial, help) const char *field;
#define QC_CHOICE(field, name, argument, choices, initial, help) const char *field;
#define QC_LIST(field, name, argument, help)                                                       \
    const char **field;                                                                            \
    size_t n_##field;
#include "cli/options.def"
#undef QC_FLAG
#undef QC_INT
#undef QC_REAL
#undef QC_STRING
#undef QC_CHOICE
#undef QC_LIST
    struct { /* texts of variables, NULL where not set */
        const char *quamba_mode;
        const char *variables[QC_N_VARIABLES]; /* by qc_variable */
    } environment;
    qc_mode_choice choice; /* the mode of the run, where the command takes one; its id is in mode */
    const char **args;     /* positional arguments */
    size_t n_args;
    const char **given; /* names of the options set on the command line, for logs */
    size_t n_given;
    int argc; /* the whole command line, for logs */
    char **argv;
} qc_options;

typedef struct qc_command {
    const char *name;
    const char *usage;       /* what follows the name: "[OPTIONS] MODEL" */
    const char *summary;     /* one line for the list of commands */
    const char *description; /* paragraphs for --help and the man page */
    const char *examples;    /* lines that work as they stand */
    const char *options;     /* names from options.def the command takes, separated by blanks; the
                                common ones (json, progress, quiet, ...) come by themselves */
    int min_args, max_args;  /* positional arguments; max_args -1: any number */
    int (*run)(const qc_options *opt); /* returns an exit status */
} qc_command;

/* All commands in the order of the help page; NULL past the last. */
extern const qc_command *const qc_commands[];
#define QC_COMMAND(name) extern const qc_command qc_cmd_##name;
#include "cli/commands.def"
#undef QC_COMMAND

/* True when the option of this name (dashes) stood on the command line. */
bool qc_given(const qc_options *opt, const char *name);

/* Where a --cpu that is not the default came from, for messages: the option or the variable. */
const char *qc_cpu_source(const qc_options *opt);

/* Every value that the command's options have, by name (with underscores), and "arguments"; NULL
 * without memory. */
json_t *qc_options_json(const qc_options *opt, const qc_command *command);

/* ---- messages: "quamba: ..." on stderr ------------------------------------------------------- */

/* Prints "quamba: MESSAGE" and returns exit_status. */
int qc_fail(int exit_status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints err's message and returns its exit status: QC_USAGE for E_ARGUMENT, QC_INTERRUPTED for
 * E_CANCELLED, else QC_FAILED. */
int qc_fail_error(const quamba_error *err);

/* "quamba: out of memory", QC_FAILED. */
int qc_fail_memory(void);

/* "quamba: warning: ..." and, unless --quiet, "quamba: ..." */
void qc_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void qc_note(const qc_options *opt, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Flushes stdout and reports a failed write (a full disk, a closed pipe): the exit status to return
 * from run after the result is printed. */
int qc_finish_output(void);

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

/* From here on the first SIGINT and the first SIGTERM only set a flag; the second ends the process
 * at once. */
void qc_catch_interrupts(void);
bool qc_interrupted(void);

/* ---- progress: on stderr, to a terminal unless --progress always ------------------------------
 */

typedef struct qc_progress {
    bool shown, lines;    /* lines: stderr is no terminal, so print line after line */
    const char *label;    /* borrowed */
    uint64_t total;       /* 0: unknown */
    double started, last; /* seconds on the monotonic clock */
    uint64_t first;       /* work done before this run (resume), left out of the rate */
    uint64_t done;
} qc_progress;

/* "lambada_openai  24% [====>          ] 1234/5153  38.2/s  1m42s left  acc 0.142"; note may be
 * NULL.  Redrawn at most ten times a second, always for done == total.  A message printed meanwhile
 * takes the line; the next redraw comes below it. */
void qc_progress_start(qc_progress *p, const qc_options *opt, const char *label, uint64_t total,
                       uint64_t done_before);
void qc_progress_update(qc_progress *p, uint64_t done, const char *note);
void qc_progress_finish(qc_progress *p); /* leaves a clean line */

/* Seconds on the monotonic clock. */
double qc_now(void);

/* "3m12s", "1h02m", "0.8s" into out; returns out. */
const char *qc_duration(double seconds, char out[32]);

/* ---- results --------------------------------------------------------------------------------- */

/* A table with aligned columns: a column of numbers (with %, or a unit or "+-" after a blank)
 * right, text left.  Cells are copied and fill the rows one after the other. */
typedef struct qc_table qc_table;
qc_table *qc_table_new(const char *const *headings, size_t n_columns); /* NULL without memory */
void qc_table_cell(qc_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns an exit status: QC_FAILED after a message when a cell found no memory. */
int qc_table_print(const qc_table *table, FILE *out);
void qc_table_free(qc_table **table);

/* Prints value as one JSON document (indent 2, reals with 17 digits, key order as inserted) and
 * returns the exit status for run.  A NULL value is taken as out of memory, so that builders need
 * not check each step. */
int qc_print_json(const json_t *value);

/* Members JSON itself cannot hold: any bytes (what is not UTF-8 becomes U+FFFD), and reals (NaN and
 * the infinities become null).  NULL without memory. */
json_t *qc_json_text(const char *text, size_t n_bytes);
json_t *qc_json_real(double value);

/* ---- opening what most commands need ----------------------------------------------------------
 */

/* The path of the MODEL argument: a directory or file as given, else under --pretrained-dir; newly
 * allocated (free).  NULL after a message when there is none. */
char *qc_model_path(const qc_options *opt, const char *name);

/* The same for what is run: --reference where the mode is one of unquantized checkpoints. */
char *qc_weights_path(const qc_options *opt, const char *name);

/* Open with --mode, --cpu and --threads honoured; on failure print the message, return its exit
 * status and leave NULL. */
int qc_open_model(quamba_model **model, const qc_options *opt, const char *name);
int qc_open_tokenizer(quamba_tokenizer **tokenizer, const qc_options *opt, const char *name);
int qc_new_session(quamba_session **session, const qc_options *opt, const quamba_model *model);
quamba_session_options qc_session_options(const qc_options *opt);

/* Codes that saturated in a session so far, by the name of their edge: as an object, and as a note
 * on stderr when there are any. */
json_t *qc_saturated_json(const quamba_session *session, const quamba_model *model);
void qc_note_saturated(const qc_options *opt, const quamba_session *session,
                       const quamba_model *model);

/* row with the knobs of list (--datapath) changed, quamba_datapath_free; NULL when list is NULL.
 * QC_USAGE after a message when they are wrong or do not go together. */
int qc_parse_datapath(quamba_datapath **datapath, const quamba_datapath *row, const char *list);

/* The datapath of the run where it is no row: the mode (row 0 when none was chosen), changed by the
 * original's variables and by --datapath; else NULL. */
int qc_choose_datapath(quamba_datapath **datapath, const qc_options *opt);

/* quamba modes verify MODEL, whose name is the second argument. */
int qc_modes_verify(const qc_options *opt);

/* QC_OK when --cpu names an instruction set of this processor; else QC_USAGE after a message. */
int qc_check_cpu(const qc_options *opt);

/* Quantizes the checkpoint at path into --output as the options say, with progress, without a
 * report.  Returns an exit status. */
int qc_quantize(const qc_options *opt, const char *path);

/* A tokenizer and a model that do not belong together: more ids than the model has rows, or far
 * fewer.  QC_FAILED after a message. */
int qc_check_vocabulary(const quamba_tokenizer *tokenizer, const quamba_model *model);

/* --threads, or the number of processors this process may use. */
int32_t qc_n_threads(const qc_options *opt);

#endif
