/* A directory that appears whole or not at all: its files are written beside its place, under a
 * temporary name, which becomes its own at the end. */
#ifndef QM_TRACE_STAGING_H
#define QM_TRACE_STAGING_H

#include "base/status.h"

typedef struct qm_staging {
    char *path;   /* as it will be called, owned */
    char *folder; /* as it is called until then, owned */
    bool created, committed;
} qm_staging;

/* path must not be there, or be an empty directory.  Close whatever the outcome. */
quamba_status qm_staging_open(qm_staging *staging, const char *path, quamba_error *err);

/* E_LIMIT when its file system has less than n_bytes left. */
quamba_status qm_staging_room(const qm_staging *staging, uint64_t n_bytes, quamba_error *err);

/* Writes into a file at an offset; the file is made when it is not there. */
quamba_status qm_staging_write(const qm_staging *staging, const char *name, uint64_t offset,
                               const void *data, size_t size, quamba_error *err);

/* Sees that a file is on the disk and gives its checksum. */
quamba_status qm_staging_seal(const qm_staging *staging, const char *name, char sha256[65],
                              quamba_error *err);

quamba_status qm_staging_commit(qm_staging *staging, quamba_error *err);

/* Takes away what was not committed. */
void qm_staging_close(qm_staging *staging);

#endif
