/* What a model's shape is: inferred from the tensors, read from config.json in either spelling, and
 * the two held against each other. */
#ifndef QM_MODEL_CONFIG_H
#define QM_MODEL_CONFIG_H

#include "format/format.h"

/* How the weights are stored, told from the tensors. */
typedef enum qm_scheme { QM_FLOAT, QM_W8A8, QM_W4A8, QM_W4A16 } qm_scheme;

/* Everything that decides shapes; 0 where unknown. */
typedef struct qm_config {
    int32_t mamba_version; /* 1 or 2 */
    int32_t n_layer, d_model, d_inner, d_state, d_conv, dt_rank;
    int32_t n_vocab;     /* rows of the embedding */
    bool tie_embeddings; /* the head is the embedding */
    bool quantized;      /* a Quamba checkpoint: INT8 or packed INT4 matrices */
    qm_scheme scheme;    /* of the tensors; a config.json leaves it QM_FLOAT */
    double norm_eps;
} qm_config;

/* The members of a state-spaces or Hugging Face config.json; fields it does not decide stay 0
 * (tie_embeddings and norm_eps get their defaults, true and 1e-5).  A member of the wrong type, two
 * spellings that disagree, or a variant this program cannot run (attention layers, an MLP, biases,
 * LayerNorm) is an error that names it. */
quamba_status qm_config_parse(qm_config *config, const json_t *json, quamba_error *err);

/* What a file of packed matrices says of itself, in its `__metadata__`. */
#define QM_PACKED_DT_RANK "quamba_dt_rank"

/* A matrix of codes as the products want it: [panels, groups, 16, 4] (base/packed.h). */
bool qm_tensor_is_packed(const qm_tensor *tensor);

/* The shape that the tensors of a source imply; E_FORMAT names the tensor that is missing.  For a
 * 4-bit or a Mamba-2 model only those two facts, n_layer, d_model and n_vocab are filled. */
quamba_status qm_config_infer(qm_config *config, const qm_source *source, quamba_error *err);

/* The config of a source: inferred, completed by its config.json if it has one, E_FORMAT where the
 * two contradict each other ("d_model" comes to 512, but the tensors say 768). */
quamba_status qm_config_of(qm_config *config, const qm_source *source, quamba_error *err);

/* "mamba1", "mamba1 w8a8", "mamba2 w4a16", ... */
const char *qm_config_kind(const qm_config *config);

/* The embedding under either spelling; NULL when there is none. */
const qm_tensor *qm_config_embedding(const qm_source *source);

#endif
