/* Small random models and a sample of random tokens for tests of the comparison. */
#ifndef TESTS_UNIT_COMPARE_MODELS_H
#define TESTS_UNIT_COMPARE_MODELS_H

#include "datapath/datapath.h"
#include "eval/compare.h"
#include "model/model.h"

enum { N_LAYER = 3, D_INNER = 48, D_STATE = 5, DT_RANK = 3, N_VOCAB = 83 };

static quamba_status random_model(quamba_model **model, const char *mode, int32_t n_vocab,
                                  int32_t n_layer, quamba_error *err)
{
    const quamba_datapath *dp = quamba_datapath_find(mode);
    const qm_config shape = {.mamba_version = 1,
                             .n_layer = n_layer,
                             .d_model = 24,
                             .d_inner = D_INNER,
                             .d_state = D_STATE,
                             .d_conv = 4,
                             .dt_rank = DT_RANK,
                             .n_vocab = n_vocab,
                             .tie_embeddings = true,
                             .quantized = dp->quantized,
                             .scheme = dp->quantized ? QM_W8A8 : QM_FLOAT,
                             .norm_eps = 1e-5};
    const quamba_status status =
        qm_model_random(model, &shape, dp, &(qm_random_options){.seed = 7}, err);
    for (int32_t i = 0; status == QUAMBA_OK && dp->quantized && i < n_layer; i++) {
        (*model)->layers[i].scales.u /= 4; /* so that some values saturate, by mode */
        (*model)->layers[i].scales.u_unclipped = 2 * (*model)->layers[i].scales.u;
    }
    return status;
}

/* n_pieces pieces of 20 and more tokens; false without memory. */
static bool random_sample(qm_sample *sample, size_t n_pieces)
{
    int32_t ids[64];
    uint32_t state = 1;
    *sample = (qm_sample){0};
    for (size_t p = 0; p < n_pieces; p++) {
        const size_t n = 20 + 7 * p;
        for (size_t i = 0; i < n; i++) {
            state = state * 1664525u + 1013904223u;
            ids[i] = (int32_t)((state >> 8) % N_VOCAB);
        }
        if (!qm_sample_add(sample, ids, n, 1000)) return false;
    }
    return true;
}

#endif
