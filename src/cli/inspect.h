/* What `quamba inspect` makes of a checkpoint, and of one tensor. */
#ifndef QC_INSPECT_H
#define QC_INSPECT_H

#include "format/format.h"
#include "model/config.h"

typedef enum qc_head {
    QC_HEAD_NONE, /* no lm_head.weight: the embedding is used */
    QC_HEAD_TIED, /* lm_head.weight holds the bytes of the embedding */
    QC_HEAD_OWN
} qc_head;

typedef struct qc_findings {
    bool is_mamba;
    const char *kind;      /* "mamba1", "mamba2", "mamba1 w8a8", ... */
    qm_config config;      /* inferred; 0 where unknown */
    char problem[1000];    /* why it is no Mamba, or where config.json contradicts; else "" */
    unsigned matrix_types; /* bit 1 << dtype of embedding, projections, convolution and head */
    unsigned vector_types; /* and of the rest, Python floats left out */
    qc_head head;
    bool missing_known; /* the names such a checkpoint needs are known */
    json_t *missing;    /* array of names; owned, qc_findings_free */
    json_t *replaced;   /* what may be missing: array of {"name", "instead"}; owned as well */
    uint64_t n_elements, n_bytes;
    size_t n_python_floats;
} qc_findings;

/* False without memory. */
bool qc_findings_make(qc_findings *f, const qm_source *source);
void qc_findings_free(qc_findings *f);

/* "f16, f32" into out, "none" for 0. */
const char *qc_type_names(unsigned types, char out[64]);

typedef struct qc_statistics {
    uint64_t n, n_nan, n_inf, n_zero;
    double min, max, mean, absmax; /* of the finite elements; NaN when there are none */
} qc_statistics;

/* Statistics of all elements, and the first n_first of them widened into first. */
void qc_tensor_statistics(const qm_tensor *tensor, qc_statistics *s, double *first, size_t n_first);

/* Of a quantized checkpoint: {"embedding": "f16", "in_proj": "w8a8", ...}, and the numbers of each
 * layer, [{"norm.output_scale": 0.04, ...}, ...].  NULL without memory. */
json_t *qc_modules_json(const qm_source *source, int32_t n_layer);
json_t *qc_scales_json(const qm_source *source, int32_t n_layer);

/* The scales of all layers as a table, or every number of one layer.  An exit status. */
int qc_scales_print(const qm_source *source, int32_t n_layer);
int qc_layer_print(const qm_source *source, int32_t layer);

#endif
