/* Like the layout of an arena, the list of entries is made by one function that runs twice: first
 * to measure, then to fill, so that what is stored and what is reserved cannot drift apart. */
#include "quant/ptq.h"

#include "base/half.h"
#include "quant/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAD = 16 }; /* upstream's kernels want the outputs of a matrix so */

typedef struct builder {
    const qm_fused *fused;
    const qm_act_scales *scales;
    qm_ptq_options options;
    qm_quantized *out;
    int32_t layer; /* names begin with it; -1 outside the layers */
    bool filling;  /* the second run */
    quamba_error *err;
    quamba_status status; /* of the first thing that failed */
} builder;

typedef enum scalar_kind { PYTHON_FLOAT, ZERO_DIM, ONE_BY_ONE } scalar_kind;

/* ---- entries ----------------------------------------------------------------------------------
 */

static const char *full_name(const builder *b, const char *name, char out[80])
{
    int at = b->layer < 0 ? 0 : snprintf(out, 80, "backbone.layers.%" PRId32 ".", b->layer);
    snprintf(out + at, 80 - (size_t)at, "%s", name);
    return out;
}

/* A new entry of that name, its elements still missing. */
static qm_tensor *add(builder *b, qm_dtype dtype, const int64_t *shape, size_t ndim,
                      const char *name)
{
    uint64_t bytes;
    qm_tensor *t = &b->out->tensors[b->out->n];
    *t = (qm_tensor){.name = full_name(b, name, b->out->names[b->out->n]), .dtype = dtype};
    b->out->n++;
    if (!qm_tensor_set_shape(t, shape, ndim, &bytes)) b->out->arena.bad = true;
    return t;
}

/* The tensor to be quantized. */
static const qm_tensor *input(const builder *b, const char *name)
{
    char full[80];
    return qm_fused_find(b->fused, full_name(b, name, full));
}

/* An entry that stays what it is. */
static void keep(builder *b, const char *name)
{
    const qm_tensor *in = input(b, name);
    add(b, in->dtype, in->shape, (size_t)in->ndim, name)->data = in->data;
}

static void scalar(builder *b, scalar_kind kind, const char *name, float value)
{
    qm_tensor *t = add(b, QM_F32, (int64_t[]){1, 1}, kind == ONE_BY_ONE ? 2 : 0, name);
    float *out = QM_CARVE(&b->out->arena, float, 1);
    t->data = out;
    t->python_float = kind == PYTHON_FLOAT;
    if (!b->filling) return;
    *out = value;
    if (b->status == QUAMBA_OK && !(value > 0.0f && isfinite(value)))
        b->status = qm_fail(b->err, QUAMBA_E_FORMAT, 0,
                            "%s comes to %g, must be positive and finite: the activation scales it "
                            "is made of are out of range",
                            t->name, (double)value);
}

/* Codes of a half tensor of count elements and room for as many as the entry has, the rest zeros;
 * returns their scale. */
static float codes(builder *b, qm_tensor *t, const qm_tensor *in)
{
    const int64_t count = (int64_t)qm_tensor_count(in);
    int8_t *q = QM_CARVE(&b->out->arena, int8_t, (int64_t)qm_tensor_count(t));
    const uint16_t *w = in->data;
    t->data = q;
    if (!b->filling) return 1.0f;
    enum { PIECE = 4096, PARALLEL = 1 << 20 }; /* smaller tensors are not worth waking threads */
    float absmax = 0.0f;
#pragma omp parallel for num_threads(b->options.n_threads)                                         \
    reduction(max                                                                                  \
              : absmax) if (count >= PARALLEL)
    for (int64_t i = 0; i < count; i += PIECE) {
        float m = qm_absmax_f16(w + i, (size_t)(count - i < PIECE ? count - i : PIECE));
        absmax = m > absmax ? m : absmax;
    }
    float scale = qm_weight_scale_f16(absmax);
#pragma omp parallel for num_threads(b->options.n_threads) if (count >= PARALLEL)
    for (int64_t i = 0; i < count; i += PIECE)
        qm_weight_codes_f16(q + i, w + i, (size_t)(count - i < PIECE ? count - i : PIECE), scale);
    return scale;
}

/* The four entries of a matrix whose input codes have scale s_x and whose output has codes of scale
 * s_y or, when that is 0, is half.  name: without a dot. */
static void linear(builder *b, const char *name, float s_x, float s_y)
{
    char part[64];
    snprintf(part, sizeof part, "%s.weight", name);
    const qm_tensor *in = input(b, part);
    int64_t n_in = in->shape[1], n_out = (in->shape[0] + PAD - 1) / PAD * PAD;
    qm_tensor *t = add(b, QM_I8, (int64_t[]){n_in, n_out}, 2, part);
    t->stride[0] = 1;
    t->stride[1] = n_in;
    float s_w = codes(b, t, in), a = s_x, alpha = s_w * s_x;
    if (s_y != 0.0f) {
        a = (float)((double)s_x / (double)s_y);
        alpha *= 1.0f / s_y;
    }
    snprintf(part, sizeof part, "%s.a", name);
    scalar(b, ONE_BY_ONE, part, a);
    snprintf(part, sizeof part, "%s.b", name);
    scalar(b, ONE_BY_ONE, part, s_w);
    snprintf(part, sizeof part, "%s.alpha", name);
    scalar(b, PYTHON_FLOAT, part, alpha);
}

/* Codes of a vector or small matrix that the scan reads, and their scale.  It is quantized in
 * float, whatever it is stored in. */
static void scan_codes(builder *b, const char *from, const char *to, const char *to_scale)
{
    const qm_tensor *in = input(b, from);
    size_t n = (size_t)qm_tensor_count(in);
    qm_tensor *t = add(b, QM_I8, in->shape, (size_t)in->ndim, to);
    int8_t *q = QM_CARVE(&b->out->arena, int8_t, (int64_t)n);
    float scale = 1.0f;
    t->data = q;
    if (b->filling && in->dtype == QM_F32) scale = qm_quantize_weight_f32(q, in->data, n);
    if (b->filling && in->dtype == QM_F16) {
        float *wide = qm_alloc(n, sizeof *wide);
        if (wide) {
            for (size_t i = 0; i < n; i++)
                wide[i] = qm_f32_f16(((const uint16_t *)in->data)[i]);
            scale = qm_quantize_weight_f32(q, wide, n);
        } else if (b->status == QUAMBA_OK) {
            b->status = qm_fail_memory(b->err, n * sizeof *wide, in->name);
        }
        free(wide);
    }
    scalar(b, ZERO_DIM, to_scale, scale);
}

/* ---- the model --------------------------------------------------------------------------------
 */

static void build_conv(builder *b, const float *s)
{
    const qm_tensor *w = input(b, "mixer.conv1d.weight"), *bias = input(b, "mixer.conv1d.bias");
    const int64_t shape[2] = {w->shape[0], w->shape[2]};
    float weight_scale = codes(b, add(b, QM_I8, shape, 2, "mixer.conv1d.weight"), w);
    float bias_scale = codes(b, add(b, QM_I8, shape, 1, "mixer.conv1d.bias"), bias);
    scalar(b, PYTHON_FLOAT, "mixer.conv1d.weight_scale", weight_scale);
    scalar(b, PYTHON_FLOAT, "mixer.conv1d.bias_scale", bias_scale);
    scalar(b, PYTHON_FLOAT, "mixer.conv1d.input_scale", s[QM_IN_PROJ_OUTPUT]);
    scalar(b, PYTHON_FLOAT, "mixer.conv1d.output_scale", s[QM_X_PROJ_INPUT]);
}

static void build_scan(builder *b, const float *s)
{
#define SCAN "mixer.selective_scan."
    scan_codes(b, "mixer.dt_proj.bias", SCAN "dt_bias", SCAN "dt_bias_scale");
    scan_codes(b, "mixer.A_log", SCAN "A_log", SCAN "A_scale");
    scan_codes(b, "mixer.D", SCAN "D", SCAN "D_scale");
    scalar(b, ZERO_DIM, SCAN "u_scale", s[QM_X_PROJ_INPUT]);
    scalar(b, ZERO_DIM, SCAN "dt_scale", s[QM_DT_PROJ_OUTPUT]);
    scalar(b, ZERO_DIM, SCAN "B_scale", s[QM_X_PROJ_OUTPUT]);
    scalar(b, ZERO_DIM, SCAN "C_scale", s[QM_X_PROJ_OUTPUT]);
    scalar(b, ZERO_DIM, SCAN "z_scale", s[QM_IN_PROJ_OUTPUT]);
    scalar(b, ZERO_DIM, SCAN "ssm_state_scale", s[QM_SSM_STATE_INPUT]);
#undef SCAN
}

static void build_layer(builder *b, int32_t layer)
{
    const float *s = b->scales->layers[layer];
    b->layer = layer;
    keep(b, "norm.weight");
    scalar(b, PYTHON_FLOAT, "norm.output_scale", s[QM_IN_PROJ_INPUT]);
    linear(b, "mixer.in_proj", s[QM_IN_PROJ_INPUT], s[QM_IN_PROJ_OUTPUT]);
    build_conv(b, s);
    linear(b, "mixer.x_proj", s[QM_X_PROJ_INPUT], s[QM_X_PROJ_OUTPUT]);
    /* dt_proj reads x_proj's codes as they are: its own input scale is measured for nothing */
    linear(b, "mixer.dt_proj", s[QM_X_PROJ_OUTPUT], s[QM_DT_PROJ_OUTPUT]);
    build_scan(b, s);
    scalar(b, PYTHON_FLOAT, "mixer.had.x_H_scale", s[QM_OUT_PROJ_INPUT]);
    linear(b, "mixer.out_proj", s[QM_OUT_PROJ_INPUT], 0.0f);
    b->layer = -1;
}

static void build_embedding(builder *b)
{
    const qm_tensor *in = input(b, "backbone.embedding.weight");
    if (!b->options.quantize_embedding) {
        keep(b, "backbone.embedding.weight");
        return;
    }
    const int64_t rows = in->shape[0], cols = in->shape[1];
    int8_t *q = QM_CARVE(&b->out->arena, int8_t, rows, cols);
    uint16_t *scales = QM_CARVE(&b->out->arena, uint16_t, rows);
    add(b, QM_I8, in->shape, 2, "backbone.embedding.weight")->data = q;
    add(b, QM_F16, in->shape, 1, "backbone.embedding.scales")->data = scales;
    if (!b->filling) return;
    const uint16_t *w = in->data;
#pragma omp parallel for num_threads(b->options.n_threads)
    for (int64_t i = 0; i < rows; i++)
        scales[i] = qm_quantize_embedding_row(q + i * cols, w + i * cols, (size_t)cols);
}

static void build_all(builder *b)
{
    b->out->n = 0;
    b->layer = -1;
    build_embedding(b);
    for (int32_t i = 0; i < b->fused->config.n_layer; i++)
        build_layer(b, i);
    keep(b, "backbone.norm_f.weight");
    if (b->options.quantize_lm_head) {
        float s = b->scales->head[QM_LM_HEAD_INPUT];
        scalar(b, PYTHON_FLOAT, "backbone.norm_f.output_scale", s);
        linear(b, "lm_head", s, 0.0f);
    } else {
        keep(b, "lm_head.weight");
    }
}

quamba_status qm_quantize_w8a8(qm_quantized **out, const qm_fused *fused,
                               const qm_act_scales *scales, const qm_ptq_options *options,
                               quamba_error *err)
{
    enum { PER_LAYER = 37, OUTSIDE = 8 }; /* entries, at most */
    const int32_t n_layer = fused->config.n_layer;
    size_t n = (size_t)n_layer * PER_LAYER + OUTSIDE;
    *out = NULL;
    if (scales->n_layer != n_layer)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "the activation scales are of %" PRId32 " layers, the model has %" PRId32,
                       scales->n_layer, n_layer);
    quamba_status status = qm_act_scales_check(scales, err);
    if (status != QUAMBA_OK) return status;
    qm_quantized *q = qm_alloc(1, sizeof *q);
    if (!q) return qm_fail_memory(err, sizeof *q, "the quantized model");
    q->tensors = qm_alloc(n, sizeof *q->tensors);
    q->names = qm_alloc(n, sizeof *q->names);
    if (!q->tensors || !q->names) {
        status = qm_fail_memory(err, n * sizeof *q->tensors, "the list of entries");
    } else {
        builder b = {.fused = fused, .scales = scales, .options = *options, .out = q, .err = err};
        build_all(&b);
        status = qm_arena_alloc(&q->arena, "the quantized model", err);
        b.filling = true;
        if (status == QUAMBA_OK) {
            build_all(&b);
            status = b.status;
        }
    }
    if (status != QUAMBA_OK) qm_quantized_free(&q);
    *out = q;
    return status;
}

const qm_tensor *qm_quantized_find(const void *quantized, const char *name)
{
    const qm_quantized *q = quantized;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->names[i], name) == 0) return &q->tensors[i];
    return NULL;
}

void qm_quantized_free(qm_quantized **quantized)
{
    qm_quantized *q = *quantized;
    if (!q) return;
    qm_arena_free(&q->arena);
    free(q->tensors);
    free(q->names);
    free(q);
    *quantized = NULL;
}
