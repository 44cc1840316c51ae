/* What `quamba compare` works on: which runs, and what came of them. */
#ifndef QC_COMPARE_H
#define QC_COMPARE_H

#include "cli/eval_report.h"
#include "eval/compare.h"

typedef struct qc_compared {
    char *name;         /* as in --modes: "2-4", "B:2-4", "0:u=deq" */
    const char *path;   /* MODEL or that of --model, borrowed */
    char *log_name;     /* of the records of a --model; NULL: the model's own name */
    char *weights_path; /* what was opened: MODEL, --reference or --model */
    qc_options opt;     /* the command's, with this run's mode; borrows */
    char *mode, *knobs; /* that mode; NULL: the checkpoint's default, the row as it is */
    qc_eval eval;       /* the model, the tasks and their scores; the tokenizer is shared */
} qc_compared;

typedef struct qc_compare {
    const qc_options *opt;
    quamba_tokenizer *tokenizer;
    qc_compared *runs;
    size_t n_runs, capacity;
    qm_sample sample;
    qm_comparison edges; /* no runs in it with --edge-tokens 0 */
} qc_compare;

/* Fills runs with what --modes and --model name; models are not opened yet. */
int qc_compare_choose(qc_compare *compare);

/* Opens the tokenizer and all models: of one vocabulary, else QC_FAILED after a message. */
int qc_compare_open(qc_compare *compare);
void qc_compare_free(qc_compare *compare);

/* Tasks that all runs were scored on. */
static inline size_t qc_compare_n_tasks(const qc_compare *c) { return c->runs[0].eval.n_runs; }

/* Task t of a run against the first run.  False without memory. */
bool qc_compare_task(const qc_compare *compare, size_t run, size_t task, qm_paired *paired);

/* What is told of one edge; NaN where it is not defined. */
typedef struct qc_edge_line {
    double max_error, rms_error, rms_first, sqnr_db, cosine;
    double flips, flip_share, worst_flip;
    double saturated, saturated_share;
    double largest, scale, range_share;
} qc_edge_line;
qc_edge_line qc_compare_edge(const qc_compare *compare, size_t run, int32_t layer, int32_t edge);

/* The measures of a line by name, in the order of the CSV; NULL past the last. */
const char *qc_edge_measure(const qc_edge_line *line, size_t index, double *value);

/* A value of a run where it parts from the first: its bits in hexadecimal. */
void qc_compare_hex(float value, int32_t code, char out[12]);

/* What the differences of a parting are counted in: "codes", "steps", "ulp". */
const char *qc_parting_unit(const qm_parting *parting);

/* "+1", "-2..3": what a bucket of qm_parting.ulps counts. */
void qc_ulp_label(char *out, size_t size, bool above, int bucket);

/* The result as the document of docs/compare.md, as tables on stdout, and as CSV in a file. */
json_t *qc_compare_json(const qc_compare *compare);
int qc_compare_print(const qc_compare *compare);
int qc_compare_write_csv(const qc_compare *compare, const char *path);

#endif
