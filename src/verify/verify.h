/* What must hold between the modes of a quantized model (spec/modes.md 4), as one table of checks:
 * each runs the model under two rows, or one row cut differently, and compares every edge and the
 * states. */
#ifndef QM_VERIFY_VERIFY_H
#define QM_VERIFY_VERIFY_H

#include "quamba/quamba.h"

typedef struct qm_verify {
    const quamba_model *model; /* quantized */
    const int32_t *tokens;     /* a text */
    size_t n_tokens;           /* at least QM_VERIFY_TOKENS; more are not used */
    int32_t n_layer;           /* the first layers are run; more only make it last longer */
    quamba_session_options options;
} qm_verify;

enum { QM_VERIFY_TOKENS = 40 };

typedef enum qm_outcome { QM_HOLDS, QM_FAILS, QM_NOT_RUN } qm_outcome;

typedef struct qm_finding {
    qm_outcome outcome;
    uint64_t n, n_differ; /* values compared, unequal */
    double rms;           /* of their differences, relative */
    double worst;         /* difference, in steps of the edge's number format */
    char text[200];       /* "exact", what was measured, or what is wrong */
} qm_finding;

typedef struct qm_check {
    const char *id; /* "T1", as in the specification */
    const char *statement;
    const char *tolerance; /* "exact", or what is allowed */
    quamba_status (*run)(const struct qm_check *check, const qm_verify *v, qm_finding *finding,
                         quamba_error *err);
    /* of a pair: the rows, and which edges (bits 1 << edge) are compared */
    const char *a, *b;
    uint32_t edges;
    struct qm_allowed {
        double rms;       /* of the FP32 results: relative */
        double share;     /* of the halves of y that may differ ... */
        double magnitude; /* ... each by one step or this part of the magnitudes summed */
        double codes;     /* share of the codes behind the Hadamard transform, each by one */
        double flips;     /* share of the codes before the scan, each by one */
    } allowed;
} qm_check;

/* The table; NULL past the last. */
const qm_check *qm_check_at(size_t index);

/* Runs one.  A status other than OK means that it could not be run (memory). */
quamba_status qm_check_run(const qm_check *check, const qm_verify *v, qm_finding *finding,
                           quamba_error *err);

#endif
