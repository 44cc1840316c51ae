/* Per-item records of an evaluation: JSON lines, the first one a header that says what run this is,
 * then one per item in the order of the task file.  A record is one write, so a run that is killed
 * leaves whole records, and at worst one torn line at the end. */
#ifndef QM_EVAL_RECORDS_H
#define QM_EVAL_RECORDS_H

#include "base/json.h"

typedef struct qm_records qm_records;

typedef struct qm_records_options {
    const char *path;
    const json_t *header; /* {"quamba_eval": 1, ..., "n_items": N}; "file" may differ on resume */
    uint64_t n_items;
    bool resume;    /* go on with an unfinished run of an equal header; else a fresh start */
    bool overwrite; /* begin again even though an unfinished run is there */
    quamba_status (*each)(void *user, const json_t *record, quamba_error *err);
    void *user; /* each is called for every record that is kept, in order */
} qm_records_options;

/* Opens or creates the file and locks it against a second run.  Without resume a finished run is
 * replaced; an unfinished one with records, or a file that is not one of ours, is E_ARGUMENT and
 * stays as it is.  With resume a header that differs is E_ARGUMENT naming the difference, a torn
 * last line is cut off, anything else that is broken is E_FORMAT naming the line. */
quamba_status qm_records_open(qm_records **records, const qm_records_options *options,
                              quamba_error *err);

/* Appends record, a JSON object, as one line in one write.  After an error (a full disk) the file
 * ends with the last whole record. */
quamba_status qm_records_append(qm_records *records, const json_t *record, quamba_error *err);

void qm_records_close(qm_records **records);

#endif
