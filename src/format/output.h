/* The directory that a new checkpoint is written into: it appears whole or not at all.  Files go
 * into a folder of its own that is renamed into place at the end or, when the directory is there
 * already, into that, where nothing is ever replaced. */
#ifndef QM_FORMAT_OUTPUT_H
#define QM_FORMAT_OUTPUT_H

#include "base/status.h"

typedef struct qm_output qm_output;

/* source_file: the file that the source's tensors are in (qm_source_path).  E_ARGUMENT when path is
 * a file, is the directory of the source, or has one of a checkpoint's files already.  Nothing is
 * created before the first qm_output_file. */
quamba_status qm_output_open(qm_output **output, const char *path, const char *source_file,
                             quamba_error *err);

/* Where a file of that name (a literal) is to be written, whole or not at all; *file is owned by
 * the caller.  The output takes it away again if it is not committed. */
quamba_status qm_output_file(qm_output *output, const char *name, char **file, quamba_error *err);

/* Copies a file that lies beside the source; one that does not exist is left out. */
quamba_status qm_output_copy(qm_output *output, const char *name, quamba_error *err);

/* The same for every file a tokenizer and the generation settings may have. */
quamba_status qm_output_copy_tokenizer(qm_output *output, quamba_error *err);

/* Names of the files so far, in their order; NULL past the last. */
const char *qm_output_name(const qm_output *output, size_t index);

quamba_status qm_output_commit(qm_output *output, quamba_error *err);

/* Takes back what was not committed. */
void qm_output_close(qm_output **output);

#endif
