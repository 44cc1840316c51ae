/* Which files a trace consists of and what is where in them. */
#ifndef QM_TRACE_LAYOUT_H
#define QM_TRACE_LAYOUT_H

#include "base/text.h"
#include "trace/edges.h"
#include "trace/encode.h"

enum { QM_TRACE_NAME = 64 /* bytes of a file's name, the final 0 included */ };

/* What a trace is of. */
typedef struct qm_trace_plan {
    const quamba_model *model;
    const char *model_hash; /* of the checkpoint, for the manifest */
    const int32_t *tokens;  /* [n_tokens], from the beginning of the text */
    size_t n_tokens;
    size_t n_prefill;   /* the first ones go through prefill, the others are decode steps */
    size_t first;       /* tokens [first, n_tokens) are in the trace */
    const bool *layers; /* [n_layer + 1]: whose edges; the last is the head */
    bool edges[QM_N_TRACE_EDGES];
    bool parameters; /* those of the formulas too */
    qm_trace_format format;
    int32_t word_bits, lanes; /* hex: of integers, 0: those of the type; words of a line */
} qm_trace_plan;

/* One array of a trace. */
typedef struct qm_trace_tensor {
    char name[32]; /* of the edge or parameter */
    int32_t layer; /* n_layer: the head; -1: of the run (tokens) */
    int32_t edge;  /* -1: none */
    qm_trace_code code;
    int32_t ndim;
    uint64_t shape[QM_MAX_TRACE_DIMS];
    const char *axes[QM_MAX_TRACE_DIMS];
    uint64_t n_rows;         /* of code.n_cols values */
    uint64_t rows_each;      /* rows of one token; 0: not by tokens */
    const void *data;        /* of what is not by tokens; NULL: value below */
    const qm_linear *packed; /* as qm_trace_parameter's */
    float value;
    const char *meaning;
    size_t file;
    uint64_t offset; /* of its first row */
} qm_trace_tensor;

typedef struct qm_trace_file {
    char name[QM_TRACE_NAME];
    qm_text header; /* owned */
    uint64_t size;  /* in bytes */
} qm_trace_file;

typedef struct qm_trace_layout {
    const qm_trace_plan *plan;
    qm_trace_setting setting;
    qm_trace_tensor *tensors; /* [n_tensors], owned */
    size_t n_tensors, capacity;
    qm_trace_file *files; /* [n_files], owned */
    size_t n_files, files_capacity;
    int32_t *by_edge; /* [n_layer + 1][QM_N_TRACE_EDGES], owned: number of the tensor, or -1 */
    uint64_t size;    /* of all files */
} qm_trace_layout;

/* Lays a plan out; to be freed whatever the outcome.  E_ARGUMENT when nothing is left to trace. */
quamba_status qm_trace_layout_make(qm_trace_layout *layout, const qm_trace_plan *plan,
                                   quamba_error *err);
void qm_trace_layout_free(qm_trace_layout *layout);

/* All rows of a tensor that is not by tokens; what is made for that is *owned, for free().  NULL
 * without memory. */
const void *qm_trace_constant(const qm_trace_tensor *tensor, void **owned);

/* "npy", "safetensors", ..., the choices of --format, and the names' ending; QM_N_TRACE_FORMATS for
 * what is none of them. */
const char *qm_trace_format_name(qm_trace_format format);
qm_trace_format qm_trace_format_find(const char *name);

#endif
