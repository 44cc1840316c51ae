#include "base/random.h"
#include "base/half.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of a made-up checkpoint, in the order of the state-spaces names. */
typedef struct qm_random {
    qm_tensor *tensors; /* [n] */
    char (*names)[64];  /* [n] */
    size_t n;
    unsigned char *data; /* all elements; NULL while sizes are counted */
    size_t used;
    uint64_t state; /* splitmix64 */
} qm_random;

/* Uniform in [-1, 1). */
static float draw(qm_random *r)
{
    return (float)(qm_splitmix64(&r->state) >> 40) * 0x1p-23f - 1.0f;
}

/* Adds a tensor of values center + spread * uniform; dims ends with 0.  Matrices are half, the rest
 * float, as in the checkpoints people have. */
static void add(qm_random *r, int32_t layer, const char *name, float center, float spread,
                const int32_t dims[4])
{
    qm_tensor *t = &r->tensors[r->n];
    char *full = r->names[r->n++];
    if (layer >= 0)
        snprintf(full, sizeof r->names[0], "backbone.layers.%" PRId32 ".%s", layer, name);
    else
        snprintf(full, sizeof r->names[0], "%s", name);
    *t = (qm_tensor){.name = full};
    while (dims[t->ndim] > 0) {
        t->shape[t->ndim] = dims[t->ndim];
        t->ndim++;
    }
    size_t n = 1;
    for (int32_t i = t->ndim; i-- > 0;) {
        t->stride[i] = (int64_t)n;
        n *= (size_t)t->shape[i];
    }
    bool matrix = t->ndim == 2 && spread < 0.5f; /* A_log is a matrix too, but stays float */
    t->dtype = matrix ? QM_F16 : QM_F32;
    unsigned char *at = r->data ? r->data + r->used : NULL;
    t->data = at;
    r->used += (n * qm_dtype_size(t->dtype) + 63) / 64 * 64;
    for (size_t i = 0; at && i < n; i++) {
        float x = center + spread * draw(r);
        if (matrix)
            ((uint16_t *)(void *)at)[i] = qm_f16_f32(x);
        else
            ((float *)(void *)at)[i] = x;
    }
}

/* Values as they come in trained models: decays from exp(-0.001) up, time steps around 0.01. */
static void add_all(qm_random *r, const qm_config *c)
{
    const int32_t e = c->d_inner, d = c->d_model, n = c->d_state, k = c->dt_rank;
    r->n = r->used = 0;
    add(r, -1, "backbone.embedding.weight", 0, 0.1f, (int32_t[4]){c->n_vocab, d});
    add(r, -1, "backbone.norm_f.weight", 1, 0.1f, (int32_t[4]){d});
    for (int32_t i = 0; i < c->n_layer; i++) {
        add(r, i, "norm.weight", 1, 0.1f, (int32_t[4]){d});
        add(r, i, "mixer.in_proj.weight", 0, 0.05f, (int32_t[4]){2 * e, d});
        add(r, i, "mixer.conv1d.weight", 0, 0.5f, (int32_t[4]){e, 1, c->d_conv});
        add(r, i, "mixer.conv1d.bias", 0, 0.1f, (int32_t[4]){e});
        add(r, i, "mixer.x_proj.weight", 0, 0.05f, (int32_t[4]){k + 2 * n, e});
        add(r, i, "mixer.dt_proj.weight", 0, 0.1f, (int32_t[4]){e, k});
        add(r, i, "mixer.dt_proj.bias", -4, 1, (int32_t[4]){e});
        add(r, i, "mixer.A_log", 1.4f, 1.4f, (int32_t[4]){e, n});
        add(r, i, "mixer.D", 1, 0.5f, (int32_t[4]){e});
        add(r, i, "mixer.out_proj.weight", 0, 0.05f, (int32_t[4]){d, e});
    }
}

static const qm_tensor *find_random(const void *user, const char *name)
{
    const qm_random *r = user;
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->names[i], name) == 0) return &r->tensors[i];
    return NULL;
}

quamba_status qm_model_random(quamba_model **model, const qm_config *config,
                              const quamba_datapath *datapath, uint64_t seed, quamba_error *err)
{
    *model = NULL;
    size_t count = 2 + 10 * (size_t)config->n_layer;
    qm_random r = {.state = seed};
    r.tensors = qm_alloc(count, sizeof *r.tensors);
    r.names = qm_alloc(count, sizeof *r.names);
    quamba_model *m = qm_alloc(1, sizeof *m);
    quamba_status status = QUAMBA_OK;
    if (!r.tensors || !r.names || !m) {
        status = qm_fail_memory(err, count * sizeof *r.tensors, "a random model");
    } else {
        add_all(&r, config);
        m->config = *config;
        m->datapath = datapath;
        m->random = r.data = qm_alloc(r.used, 1);
        if (!r.data) status = qm_fail_memory(err, r.used, "random weights");
    }
    if (status == QUAMBA_OK) {
        add_all(&r, config);
        status = qm_model_bind(m, find_random, &r, 1, err);
    }
    free(r.tensors);
    free(r.names);
    if (status != QUAMBA_OK && m) quamba_model_close(&m);
    *model = m;
    return status;
}
