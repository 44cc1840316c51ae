/* quamba bench --per-operator: where the time of a prefill and of a decode step goes. */
#ifndef QC_BENCH_OPERATORS_H
#define QC_BENCH_OPERATORS_H

#include "cli/cli.h"

/* What is timed: the operators between two edges that a tap sees. */
enum { QC_N_STAGES = 9 };

/* Medians over runs, of all layers together. */
typedef struct qc_stage_times {
    double prefill[QC_N_STAGES]; /* seconds of the prompt */
    double decode[QC_N_STAGES];  /* seconds of a step */
} qc_stage_times;

typedef struct qc_timed {
    quamba_session *session; /* its tap is set, and NULL afterwards */
    const quamba_model *model;
    const int32_t *prompt;
    int64_t prompt_len, gen_len, repeat;
    int32_t max_rows; /* of the session: tokens that go through the model together */
} qc_timed;

/* Runs apart from the ones that are measured as a whole: at every edge the threads meet and one
 * looks at the clock, so the sum is a little more than the time without. */
quamba_status qc_time_stages(qc_stage_times *times, const qc_timed *what, quamba_error *err);

/* Each stage with its time, multiply-accumulates and bytes (src/count); NULL without memory. */
json_t *qc_stages_json(const qc_stage_times *times, const qc_timed *what);

/* The same as a table; returns an exit status. */
int qc_print_stages(const qc_stage_times *times, const qc_timed *what);

#endif
