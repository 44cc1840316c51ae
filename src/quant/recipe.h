/* How a checkpoint was quantized, and the config.json that says so. */
#ifndef QM_QUANT_RECIPE_H
#define QM_QUANT_RECIPE_H

#include "base/json.h"
#include "model/config.h"
#include "quant/search.h"

typedef struct qm_recipe {
    int32_t w_bits, a_bits;
    double percentile_alpha;
    bool quantize_embedding, quantize_lm_head;
    /* Where the activation scales come from: a file of scales, or texts and what was read of them.
     * Names are without directories, so that equal runs give equal bytes anywhere. */
    const char *calibration; /* name of the file */
    int64_t n_texts, seqlen; /* 0: unknown */
    const char *ids_hash;    /* of the token ids; NULL: unknown */
    const qm_search *search; /* how percentile_alpha was chosen; NULL: it was given */
} qm_recipe;

/* Upstream's config.json of the quantized model, with the "quantization_config" object that holds
 * the recipe.  source: the config.json of what was quantized, or NULL; one that has upstream's
 * fields keeps them.  config: what the tensors say.  *json is owned by the caller. */
quamba_status qm_recipe_config(json_t **json, const qm_recipe *recipe, const qm_config *config,
                               const json_t *source, quamba_error *err);

#endif
