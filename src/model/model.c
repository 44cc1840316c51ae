#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of a file, and which of them were asked for. */
typedef struct qm_lookup {
    const qm_source *source;
    bool *known; /* [qm_source_count] */
} qm_lookup;

/* State-spaces names to those of the file: Hugging Face spells the embedding in the plural. */
static const qm_tensor *find_in_source(const void *user, const char *name)
{
    const qm_lookup *l = user;
    bool embedding = strcmp(name, "backbone.embedding.weight") == 0;
    const qm_tensor *t =
        embedding ? qm_config_embedding(l->source) : qm_source_find(l->source, name);
    if (t) l->known[t - qm_source_at(l->source, 0)] = true;
    return t;
}

/* Every tensor of the file must be one that was bound: what is left over means that the file is not
 * what we take it for. */
static quamba_status refuse_leftovers(const quamba_model *m, const bool *known, quamba_error *err)
{
    for (size_t i = 0; i < qm_source_count(m->source); i++)
        if (!known[i])
            return qm_fail(err, QUAMBA_E_FORMAT, i,
                           "tensor %.200s is not part of a %sMamba-1 model of %" PRId32 " layers",
                           qm_source_at(m->source, i)->name, m->config.quantized ? "W8A8 " : "",
                           m->config.n_layer);
    return QUAMBA_OK;
}

static quamba_status bind_source(quamba_model *m, int32_t n_threads, quamba_error *err)
{
    size_t n = qm_source_count(m->source);
    const qm_lookup lookup = {m->source, qm_alloc(n, sizeof(bool))};
    if (!lookup.known) return qm_fail_memory(err, n, "the list of bound tensors");
    quamba_status status = qm_model_bind(m, find_in_source, &lookup, n_threads, err);
    if (status == QUAMBA_OK) status = refuse_leftovers(m, lookup.known, err);
    free(lookup.known);
    return status;
}

/* What is there but cannot be run, by name. */
static quamba_status refuse_kind(const qm_config *config, quamba_error *err)
{
    if (config->mamba_version == 1 && config->scheme <= QM_W8A8) return QUAMBA_OK;
    return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                   "this is a %s model; only mamba1 and mamba1 w8a8 can be run",
                   qm_config_kind(config));
}

quamba_status qm_model_begin_source(quamba_model **model, qm_source **source, quamba_error *err)
{
    const char *name = qm_source_path(*source);
    quamba_model *m = *model = qm_alloc(1, sizeof *m);
    if (!m) return qm_fail_memory(err, sizeof *m, name);
    m->source = *source;
    *source = NULL;
    quamba_status status = qm_config_of(&m->config, m->source, err);
    if (status == QUAMBA_OK) status = refuse_kind(&m->config, err);
    return status;
}

quamba_status qm_model_begin(quamba_model **model, const char *path, quamba_error *err)
{
    qm_source *source = NULL;
    *model = NULL;
    quamba_status status = qm_source_open(&source, path, err);
    if (status != QUAMBA_OK) return status;
    status = qm_model_begin_source(model, &source, err);
    qm_source_close(&source); /* unless it was taken */
    if (status == QUAMBA_OK) return status;
    quamba_model_close(model);
    return qm_fail_in(err, status, path);
}

quamba_status qm_model_finish(quamba_model **model, const char *path, const qm_model_load *load,
                              quamba_error *err)
{
    quamba_model *m = *model;
    m->datapath = load->datapath;
    m->half_weights = load->half_weights;
    m->norm_f_kind = load->norm_f_kind;
    quamba_status status = bind_source(m, load->n_threads, err);
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
    qm_arena_free(&m->packed);
    qm_source_close(&m->source);
    free(m->packings);
    free(m->warnings);
    free(m->random);
    free(m->grid);
    free(m->own_datapath);
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
    /* The convolution's inputs are codes in a quantized model; the state after a token is FP32 in
     * all.  Left out: the scale per input that rows with run-time scales keep. */
    const uint64_t channel = (uint64_t)c->d_conv * (c->quantized ? 1 : sizeof(float)) +
                             (uint64_t)c->d_state * sizeof(float);
    uint64_t state = (uint64_t)c->n_layer * (uint64_t)c->d_inner * channel;
    uint64_t rows =
        m->embedding_scales ? (uint64_t)c->n_vocab * sizeof(float) : 0; /* one is read */
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
        .bytes_per_token = m->matrix_bytes + m->vector_bytes - rows + state,
        .state_bytes = state,
        .architecture = "mamba1",
        .weight_format = qm_dtype_name(m->layers[0].in_proj.dtype),
        .mode = quamba_datapath_id(m->datapath),
    };
}
