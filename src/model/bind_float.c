/* A floating-point Mamba-1 checkpoint, by its state-spaces names. */
#include "base/fmath.h"
#include "model/binder.h"

static quamba_status bind_layer(qm_binder *b, int32_t i, qm_layer *layer)
{
    const qm_config *c = &b->model->config;
    const int32_t e = c->d_inner, d = c->d_model, n = c->d_state, r = c->dt_rank;
    const struct {
        const char *name;
        const float **slot;
        int32_t ndim;
        int64_t shape[3];
        bool half; /* upstream's half model holds it in half */
    } small[] = {
        {"norm.weight",         &layer->norm,      1, {d, 0, 0},         true },
        {"mixer.conv1d.weight", &layer->conv,      3, {e, 1, c->d_conv}, true },
        {"mixer.conv1d.bias",   &layer->conv_bias, 1, {e, 0, 0},         true },
        {"mixer.dt_proj.bias",  &layer->dt_bias,   1, {e, 0, 0},         true },
        {"mixer.A_log",         &layer->a,         2, {e, n, 0},         false},
        {"mixer.D",             &layer->d,         1, {e, 0, 0},         false},
    };
    const struct {
        const char *name;
        qm_linear *linear;
        int32_t n_out, n_in;
    } matrices[] = {
        {"mixer.in_proj.weight",  &layer->in_proj,  2 * e,     d},
        {"mixer.x_proj.weight",   &layer->x_proj,   r + 2 * n, e},
        {"mixer.dt_proj.weight",  &layer->dt_proj,  e,         r},
        {"mixer.out_proj.weight", &layer->out_proj, d,         e},
    };
    quamba_status status = QUAMBA_OK;
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(small); k++) {
        qm_bind_name(b, i, small[k].name);
        status = qm_bind_small(b, small[k].slot, small[k].ndim, small[k].shape, small[k].half);
    }
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(matrices); k++) {
        qm_bind_name(b, i, matrices[k].name);
        status = qm_bind_matrix(b, matrices[k].linear, matrices[k].n_out, matrices[k].n_in,
                                b->model->half_weights);
    }
    if (status == QUAMBA_OK && b->filling) {
        float *a = (float *)(uintptr_t)layer->a; /* in our arena: A_log becomes A in place */
        for (size_t k = 0; k < (size_t)e * (size_t)n; k++)
            a[k] = -qm_expf(a[k]);
    }
    return status;
}

quamba_status qm_bind_float(qm_binder *b)
{
    quamba_model *m = b->model;
    const qm_config *c = &m->config;
    const bool half = m->half_weights;
    m->layers = QM_CARVE(&m->arena, qm_layer, c->n_layer);
    qm_layer measured; /* while measuring there is no array to write to */
    qm_bind_name(b, -1, "backbone.embedding.weight");
    quamba_status status = qm_bind_matrix(b, &m->embedding, c->n_vocab, c->d_model, half);
    for (int32_t i = 0; status == QUAMBA_OK && i < c->n_layer; i++)
        status = bind_layer(b, i, b->filling ? &m->layers[i] : &measured);
    if (status != QUAMBA_OK) return status;
    qm_bind_name(b, -1, "backbone.norm_f.weight");
    status = qm_bind_small(b, &m->norm_f, 1, (int64_t[]){c->d_model}, true);
    m->head = m->embedding;
    qm_bind_name(b, -1, "lm_head.weight");
    if (c->tie_embeddings)
        b->find(b->user, b->name); /* a copy of the embedding: known, not needed */
    else if (status == QUAMBA_OK)
        status = qm_bind_matrix(b, &m->head, c->n_vocab, c->d_model, half);
    return status;
}
