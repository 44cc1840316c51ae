/* The file that keeps what a calibration observed, text by text, so that a killed one goes on: a
 * header with a key that says what run this is, then blocks of equal size, each with its own hash.
 * Blocks come in any order; what is torn at the end is cut off. */
#ifndef QM_QUANT_RECORD_H
#define QM_QUANT_RECORD_H

#include "base/status.h"

typedef struct qm_record qm_record;

/* Opens or creates path, locks it against a second run, and hands the blocks of a run with this key
 * back: values[index * n_values ..] is filled and done[index] set.  Blocks of another
 * run are dropped; a file that is no record is E_ARGUMENT and stays as it is.  A block is n_values
 * floats; index < n_blocks. */
quamba_status qm_record_open(qm_record **record, const char *path, uint64_t key, size_t n_blocks,
                             size_t n_values, float *values, bool *done, quamba_error *err);

/* Appends a block in one write.  After an error (a full disk) the file ends with the last whole
 * block. */
quamba_status qm_record_append(qm_record *record, size_t index, const float *values,
                               quamba_error *err);
void qm_record_close(qm_record **record);

#endif
