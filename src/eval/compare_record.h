/* What the first run left at some layers' edges while it read one piece of text. */
#ifndef QM_EVAL_COMPARE_RECORD_H
#define QM_EVAL_COMPARE_RECORD_H

#include "eval/compare_frame.h"

typedef struct qm_recorded {
    int8_t *codes; /* [max_rows][n], or */
    float *values; /* [max_rows][n]; owned; both NULL: never shown */
    float *scales; /* [max_rows], of codes */
    size_t n, n_rows;
} qm_recorded;

typedef struct qm_record {
    int32_t begin, end; /* layers */
    size_t max_rows;
    qm_recorded *edges; /* [end - begin][QM_N_EDGES], owned */
    bool failed;        /* no memory */
} qm_record;

/* For layers begin .. end - 1; max_rows: tokens, or d_state if that is more. */
quamba_status qm_record_init(qm_record *record, int32_t begin, int32_t end, size_t max_rows,
                             quamba_error *err);
void qm_record_free(qm_record *record);

/* Forgets the rows, for the next piece. */
void qm_record_clear(qm_record *record);

void qm_record_add(qm_record *record, qm_edge edge, int32_t layer, size_t row, const qm_row *r);

/* The row as it was added, its values in values[n] where it has codes; false: there is none. */
bool qm_record_row(const qm_record *record, qm_edge edge, int32_t layer, size_t row, float *values,
                   qm_row *r);

#endif
