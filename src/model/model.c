#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* State-spaces names to those of the file: Hugging Face spells the embedding in the plural. */
static const qm_tensor *find_in_source(const void *user, const char *name)
{
    if (strcmp(name, "backbone.embedding.weight") == 0) return qm_config_embedding(user);
    return qm_source_find(user, name);
}

/* Every tensor of the file must be one that was bound: what is left over means that the file is not
 * what we take it for. */
static quamba_status refuse_leftovers(const quamba_model *m, quamba_error *err)
{
    static const char *const inside[] = {
        "norm.weight",          "mixer.in_proj.weight", "mixer.conv1d.weight",
        "mixer.conv1d.bias",    "mixer.x_proj.weight",  "mixer.dt_proj.weight",
        "mixer.dt_proj.bias",   "mixer.A_log",          "mixer.D",
        "mixer.out_proj.weight"};
    static const char *const outside[] = {"backbone.embedding.weight", "backbone.embeddings.weight",
                                          "backbone.norm_f.weight", "lm_head.weight"};
    for (size_t i = 0; i < qm_source_count(m->source); i++) {
        const char *name = qm_source_at(m->source, i)->name;
        bool known = false;
        for (size_t k = 0; !known && k < QM_COUNT(outside); k++)
            known = strcmp(name, outside[k]) == 0;
        int32_t layer = -1;
        int at = 0;
        if (!known && sscanf(name, "backbone.layers.%" SCNd32 ".%n", &layer, &at) == 1 && at > 0 &&
            layer >= 0 && layer < m->config.n_layer)
            for (size_t k = 0; !known && k < QM_COUNT(inside); k++)
                known = strcmp(name + at, inside[k]) == 0;
        if (!known)
            return qm_fail(err, QUAMBA_E_FORMAT, i,
                           "tensor %.200s is not part of a Mamba-1 model of %" PRId32 " layers",
                           name, m->config.n_layer);
    }
    return QUAMBA_OK;
}

quamba_status qm_model_begin(quamba_model **model, const char *path, quamba_error *err)
{
    *model = NULL;
    quamba_model *m = qm_alloc(1, sizeof *m);
    if (!m) return qm_fail_memory(err, sizeof *m, path);
    quamba_status status = qm_source_open(&m->source, path, err);
    if (status == QUAMBA_OK) {
        status = qm_config_of(&m->config, m->source, err);
        if (status == QUAMBA_OK && m->config.mamba_version != 1)
            status = qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                             "this is a Mamba-2 model; only Mamba-1 can be run");
        if (status != QUAMBA_OK) qm_fail_in(err, status, path);
    }
    if (status != QUAMBA_OK) quamba_model_close(&m);
    *model = m;
    return status;
}

quamba_status qm_model_finish(quamba_model **model, const char *path, const qm_model_load *load,
                              quamba_error *err)
{
    quamba_model *m = *model;
    m->datapath = load->datapath;
    m->half_weights = load->half_weights;
    m->norm_f_kind = load->norm_f_kind;
    quamba_status status = qm_model_bind(m, find_in_source, m->source, load->n_threads, err);
    if (status == QUAMBA_OK) status = refuse_leftovers(m, err);
    if (status != QUAMBA_OK) {
        qm_fail_in(err, status, path);
        quamba_model_close(model);
    }
    return status;
}

void quamba_model_close(quamba_model **model)
{
    quamba_model *m = *model;
    if (!m) return;
    qm_arena_free(&m->arena);
    qm_source_close(&m->source);
    free(m->warnings);
    free(m->random);
    free(m);
    *model = NULL;
}

const char *quamba_model_warning(const quamba_model *m, size_t index)
{
    return index < m->n_warnings ? m->warnings[index] : NULL;
}

quamba_model_info quamba_model_get_info(const quamba_model *m)
{
    const qm_config *c = &m->config;
    uint64_t state = (uint64_t)c->n_layer * (uint64_t)c->d_inner *
                     (uint64_t)(c->d_conv + c->d_state) * sizeof(float);
    uint64_t untied = 0; /* an embedding of its own: one row of it is read */
    if (!c->tie_embeddings)
        untied = (uint64_t)c->n_vocab * (uint64_t)c->d_model * qm_dtype_size(m->embedding.dtype);
    return (quamba_model_info){
        .n_layer = c->n_layer,
        .d_model = c->d_model,
        .d_inner = c->d_inner,
        .d_state = c->d_state,
        .d_conv = c->d_conv,
        .dt_rank = c->dt_rank,
        .n_vocab = c->n_vocab,
        .n_parameters = m->n_parameters,
        .weights_bytes = m->matrix_bytes + m->vector_bytes + untied,
        .bytes_per_token = m->matrix_bytes + m->vector_bytes + state,
        .state_bytes = state,
        .architecture = "mamba1",
        .weight_format = qm_dtype_name(m->layers[0].in_proj.dtype),
        .mode = quamba_datapath_id(m->datapath),
    };
}
