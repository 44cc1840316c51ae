/* Names to weights.  bind_all runs twice over the same calls: first the arena measures, then it is
 * filled, so that what is checked and what is copied cannot drift apart. */
#include "base/fmath.h"
#include "model/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct qm_binder {
    quamba_model *model;
    qm_find_tensor *find;
    const void *user;
    bool filling; /* the second run */
    char name[128];
    quamba_error *err;
} qm_binder;

/* The tensor of b->name with the wanted shape, floating point; NULL after filling b->err. */
static const qm_tensor *find_tensor(qm_binder *b, int32_t ndim, const int64_t *shape)
{
    char shown[192], wanted[64] = "";
    const qm_tensor *t = b->find(b->user, b->name);
    if (!t) {
        qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is missing", b->name);
        return NULL;
    }
    bool fits = t->ndim == ndim;
    for (int32_t i = 0; fits && i < ndim; i++)
        fits = t->shape[i] == shape[i];
    if (!fits) {
        size_t at = 0;
        for (int32_t i = 0; i < ndim; i++)
            at += (size_t)snprintf(wanted + at, sizeof wanted - at, "%s%" PRId64, i ? ", " : "",
                                   shape[i]);
        qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must be [%s]", b->name,
                qm_tensor_describe(t, shown), wanted);
        return NULL;
    }
    if (t->dtype != QM_F32 && t->dtype != QM_F16 && t->dtype != QM_BF16) {
        qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must be f32, f16 or bf16", b->name,
                qm_tensor_describe(t, shown));
        return NULL;
    }
    return t;
}

static quamba_status fail_not_finite(qm_binder *b, const char *name, uint64_t index)
{
    return qm_fail(b->err, QUAMBA_E_FORMAT, index,
                   "tensor %s: element %" PRIu64 " is not a finite number", name, index);
}

static float widen(const void *data, qm_dtype dtype, size_t i)
{
    if (dtype == QM_F32) return ((const float *)data)[i];
    uint16_t bits = ((const uint16_t *)data)[i];
    return dtype == QM_F16 ? qm_f32_f16(bits) : qm_f32_bf16(bits);
}

/* A vector or a small matrix (first dimension times last) as FP32, transposed so that the channel
 * is the fastest index; half: rounded to half where the datapath keeps its weights in half. */
static quamba_status bind_small(qm_binder *b, const float **slot, int32_t ndim,
                                const int64_t *shape, bool half)
{
    const qm_tensor *t = find_tensor(b, ndim, shape);
    if (!t) return QUAMBA_E_FORMAT;
    int64_t rows = shape[0], cols = ndim > 1 ? shape[ndim - 1] : 1;
    size_t n = (size_t)(rows * cols);
    float *out = QM_CARVE(&b->model->arena, float, rows, cols);
    b->model->n_parameters += n;
    b->model->vector_bytes += n * sizeof(float);
    *slot = out;
    if (!b->filling) return QUAMBA_OK;

    void *plain = qm_alloc(n, qm_dtype_size(t->dtype));
    if (!plain) return qm_fail_memory(b->err, n * qm_dtype_size(t->dtype), b->name);
    qm_tensor_copy(t, plain);
    uint64_t bad;
    quamba_status status = QUAMBA_OK;
    if (!qm_all_finite(plain, t->dtype, n, &bad)) status = fail_not_finite(b, b->name, bad);
    bool round = half && b->model->half_weights;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            float x = widen(plain, t->dtype, (size_t)(r * cols + c));
            out[c * rows + r] = round ? qm_round_f16(x) : x;
        }
    free(plain);
    return status;
}

/* A matrix, in place where the file has it row-major and aligned, else a copy; converted to half
 * where the datapath wants half and the file has another type. */
static quamba_status bind_matrix(qm_binder *b, qm_linear *linear, int32_t n_out, int32_t n_in)
{
    const qm_tensor *t = find_tensor(b, 2, (int64_t[]){n_out, n_in});
    if (!t) return QUAMBA_E_FORMAT;
    size_t n = (size_t)n_out * (size_t)n_in, size = qm_dtype_size(t->dtype);
    bool convert = b->model->half_weights && t->dtype != QM_F16;
    bool in_place = !convert && qm_tensor_is_contiguous(t) && (uintptr_t)t->data % size == 0;
    b->model->n_parameters += n;
    *linear = (qm_linear){
        .weight = t->data, .dtype = convert ? QM_F16 : t->dtype, .n_out = n_out, .n_in = n_in};
    if (in_place) return QUAMBA_OK;

    int64_t out_size = (int64_t)qm_dtype_size(linear->dtype);
    unsigned char *out = QM_CARVE(&b->model->arena, unsigned char, n_out, n_in, out_size);
    linear->weight = out;
    if (!b->filling) return QUAMBA_OK;
    if (!convert) {
        qm_tensor_copy(t, out);
        return QUAMBA_OK;
    }
    void *plain = qm_alloc(n, size);
    if (!plain) return qm_fail_memory(b->err, n * size, b->name);
    qm_tensor_copy(t, plain);
    for (size_t i = 0; i < n; i++) {
        uint16_t half = qm_f16_f32(widen(plain, t->dtype, i));
        memcpy(out + i * sizeof half, &half, sizeof half);
    }
    free(plain);
    return QUAMBA_OK;
}

static const char *layer_name(qm_binder *b, int32_t layer, const char *rest)
{
    snprintf(b->name, sizeof b->name, "backbone.layers.%" PRId32 ".%s", layer, rest);
    return b->name;
}

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
        layer_name(b, i, small[k].name);
        status = bind_small(b, small[k].slot, small[k].ndim, small[k].shape, small[k].half);
    }
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(matrices); k++) {
        layer_name(b, i, matrices[k].name);
        status = bind_matrix(b, matrices[k].linear, matrices[k].n_out, matrices[k].n_in);
    }
    if (status == QUAMBA_OK && b->filling) {
        float *a = (float *)(uintptr_t)layer->a; /* in our arena: A_log becomes A in place */
        for (size_t k = 0; k < (size_t)e * (size_t)n; k++)
            a[k] = -qm_expf(a[k]);
    }
    return status;
}

static quamba_status bind_all(qm_binder *b)
{
    quamba_model *m = b->model;
    const qm_config *c = &m->config;
    m->n_parameters = m->vector_bytes = 0;
    m->layers = QM_CARVE(&m->arena, qm_layer, c->n_layer);
    qm_layer measured; /* while measuring there is no array to write to */
    snprintf(b->name, sizeof b->name, "backbone.embedding.weight");
    quamba_status status = bind_matrix(b, &m->embedding, c->n_vocab, c->d_model);
    for (int32_t i = 0; status == QUAMBA_OK && i < c->n_layer; i++)
        status = bind_layer(b, i, b->filling ? &m->layers[i] : &measured);
    if (status != QUAMBA_OK) return status;
    snprintf(b->name, sizeof b->name, "backbone.norm_f.weight");
    status = bind_small(b, &m->norm_f, 1, (int64_t[]){c->d_model}, true);
    m->head = m->embedding;
    if (status == QUAMBA_OK && !c->tie_embeddings) {
        snprintf(b->name, sizeof b->name, "lm_head.weight");
        status = bind_matrix(b, &m->head, c->n_vocab, c->d_model);
    }
    return status;
}

static uint64_t linear_count(const qm_linear *l) { return (uint64_t)l->n_out * (uint64_t)l->n_in; }

/* A matrix to look through for values that are not finite. */
typedef struct qm_check {
    const qm_linear *linear;
    int32_t layer; /* -1 outside the layers */
    const char *name;
    uint64_t bad;
    bool finite;
} qm_check;

/* Looks through every matrix: the one part of opening that grows with the model, so threads share
 * it.  The first matrix in the order of the model is the one reported. */
static quamba_status check_matrices(qm_binder *b, int32_t n_threads)
{
    quamba_model *m = b->model;
    int32_t n_layer = m->config.n_layer, n = 0;
    qm_check *checks = qm_alloc((size_t)n_layer * 4 + 2, sizeof *checks);
    if (!checks) return qm_fail_memory(b->err, (uint64_t)n_layer * sizeof *checks, "the checks");
    for (int32_t i = 0; i < n_layer; i++) {
        const qm_layer *l = &m->layers[i];
        checks[n++] = (qm_check){&l->in_proj, i, "mixer.in_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->x_proj, i, "mixer.x_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->dt_proj, i, "mixer.dt_proj.weight", 0, true};
        checks[n++] = (qm_check){&l->out_proj, i, "mixer.out_proj.weight", 0, true};
    }
    checks[n++] = (qm_check){&m->head, -1, "lm_head.weight", 0, true};
    for (int32_t i = 0; i < n; i++)
        m->matrix_bytes += linear_count(checks[i].linear) * qm_dtype_size(checks[i].linear->dtype);
    if (m->config.tie_embeddings)
        checks[n - 1].name = "backbone.embedding.weight";
    else
        checks[n++] = (qm_check){&m->embedding, -1, "backbone.embedding.weight", 0, true};
#pragma omp parallel for num_threads(n_threads) schedule(dynamic)
    for (int32_t i = 0; i < n; i++) {
        const qm_linear *l = checks[i].linear;
        checks[i].finite = qm_all_finite(l->weight, l->dtype, linear_count(l), &checks[i].bad);
    }
    quamba_status status = QUAMBA_OK;
    for (int32_t i = 0; status == QUAMBA_OK && i < n; i++) {
        if (checks[i].finite) continue;
        const char *name = checks[i].name;
        if (checks[i].layer >= 0) name = layer_name(b, checks[i].layer, name);
        status = fail_not_finite(b, name, checks[i].bad);
    }
    free(checks);
    return status;
}

quamba_status qm_model_bind(quamba_model *model, qm_find_tensor *find, const void *user,
                            int32_t n_threads, quamba_error *err)
{
    if (model->config.d_conv > QM_MAX_CONV)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "d_conv is %" PRId32 ", at most %d is supported", model->config.d_conv,
                       QM_MAX_CONV);
    qm_binder b = {.model = model, .find = find, .user = user, .err = err};
    quamba_status status = bind_all(&b);
    if (status == QUAMBA_OK) status = qm_arena_alloc(&model->arena, "the model's vectors", err);
    if (status != QUAMBA_OK) return status;
    b.filling = true;
    status = bind_all(&b);
    return status == QUAMBA_OK ? check_matrices(&b, n_threads) : status;
}
