/* A trace: the values at chosen edges of chosen layers as files for other tools, with a manifest
 * (docs/trace.md); and the check that such files are what model, mode and tokens give. */
#ifndef QM_TRACE_TRACE_H
#define QM_TRACE_TRACE_H

#include "trace/layout.h"
#include "trace/manifest.h"
#include "trace/walk.h"

/* What was written, or checked. */
typedef struct qm_trace_summary {
    size_t n_files, n_tensors; /* the manifest not counted */
    uint64_t n_bytes;
} qm_trace_summary;

/* Writes the trace as a new directory (it may be there, empty), which appears whole or not at all.
 * E_ARGUMENT: the directory holds something, an edge is not there, a value does not fit its word.
 * E_LIMIT: the file system has not enough room. */
quamba_status qm_trace_write(const qm_trace_plan *plan, const qm_trace_watch *watch,
                             const char *directory, qm_trace_summary *summary, quamba_error *err);

/* What does not hold in a trace. */
typedef struct qm_trace_fault {
    char file[QM_TRACE_NAME];
    char text[400]; /* "token 5, channel 17: is 12, must be 13" */
} qm_trace_fault;

enum { QM_TRACE_MAX_FAULTS = 100 /* more are only counted */ };

typedef struct qm_trace_findings {
    qm_trace_summary summary;
    qm_trace_fault *faults; /* [n_faults, at most QM_TRACE_MAX_FAULTS], owned, free() */
    size_t n_faults;
} qm_trace_findings;

/* Computes all edges of the request again, from its tokens, and compares every file of the
 * directory, byte by byte, and the manifest, member by member.  plan is what the request asks for
 * on the model.  A status other than OK means that this could not be done. */
quamba_status qm_trace_verify(const qm_trace_plan *plan, const qm_trace_request *request,
                              const qm_trace_watch *watch, const char *directory,
                              qm_trace_findings *findings, quamba_error *err);

/* The plan of a request on a model; E_ARGUMENT when they do not fit together.  The plan borrows
 * from both. */
quamba_status qm_trace_request_plan(qm_trace_plan *plan, const qm_trace_request *request,
                                    const quamba_model *model, quamba_error *err);

#endif
