/* manifest.json: what a trace is of and what each of its files holds. */
#ifndef QM_TRACE_MANIFEST_H
#define QM_TRACE_MANIFEST_H

#include "base/json.h"
#include "trace/layout.h"

#define QM_TRACE_MANIFEST "manifest.json"

enum {
    QM_TRACE_MANIFEST_VERSION = 1,
    QM_TRACE_MAX_TOKENS = 1 << 24, /* of a manifest that is read */
    QM_TRACE_MAX_LAYERS = 1 << 12
};

/* The manifest of a layout; the files' checksums are still missing.  NULL without memory. */
json_t *qm_trace_manifest_make(const qm_trace_layout *layout);

/* Sets the checksum of every tensor that lies in a file; false without memory. */
bool qm_trace_manifest_set_sum(json_t *manifest, const char *file, const char *sha256);

/* What a manifest asks for, read from one that may say anything. */
typedef struct qm_trace_request {
    json_t *json;             /* the manifest, owned */
    const char *mode, *knobs; /* the row's id and --datapath's list, "" for none; borrowed */
    const char *model_hash;   /* borrowed */
    int32_t *tokens;          /* owned */
    size_t n_tokens, n_prefill, first;
    bool layers[QM_TRACE_MAX_LAYERS + 1]; /* the last of n_layer + 1: the head */
    int32_t n_layer;
    bool edges[QM_N_TRACE_EDGES];
    bool parameters;
    qm_trace_format format;
    int32_t word_bits, lanes;
} qm_trace_request;

/* Parses size bytes; to be freed whatever the outcome.  Errors name the member. */
quamba_status qm_trace_request_parse(qm_trace_request *request, const char *data, size_t size,
                                     quamba_error *err);
void qm_trace_request_free(qm_trace_request *request);

#endif
