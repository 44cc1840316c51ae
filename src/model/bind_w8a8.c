/* A quantized (W8A8) Mamba-1 checkpoint as upstream Quamba names and stores it.  What several
 * tensors say about one number must agree: a file that contradicts itself would run, and be wrong.
 */
#include "base/fmath.h"
#include "model/binder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_INPUTS = 131071, /* products of codes that an int32 sum holds: 2^31 / 128^2, less one */
    PAD = 16             /* upstream pads outputs to a multiple of this with rows of zeros */
};

static const double tolerance = 1e-5; /* of quotients and products that were rounded on the way */

/* ---- scales ---------------------------------------------------------------------------------- */

/* One FP32 number, of whatever shape it was stored in. */
static quamba_status read_scalar(qm_binder *b, const qm_tensor *t, float *value)
{
    char shown[192];
    if (t->dtype != QM_F32 || qm_tensor_count(t) != 1)
        return qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must be one f32 number",
                       b->name, qm_tensor_describe(t, shown));
    memcpy(value, t->data, sizeof *value);
    if (!(*value > 0 && *value < INFINITY))
        return qm_fail(b->err, QUAMBA_E_FORMAT, 0,
                       "tensor %s is %g: a scale must be positive and finite%s", b->name,
                       (double)*value, *value == 0 ? " (0 is no \"not set\")" : "");
    return QUAMBA_OK;
}

/* *value = 1 in a listing run. */
static quamba_status bind_scale(qm_binder *b, int32_t layer, const char *rest, float *value)
{
    const qm_tensor *t = b->find(b->user, qm_bind_name(b, layer, rest));
    *value = 1;
    if (t && !b->missing) return read_scalar(b, t, value);
    /* as of any tensor: missing, reported */
    return qm_bind_find(b, QM_SET_F32, 0, NULL, &t);
}

/* In a listing run: b->name may be absent, for then instead happens. */
static quamba_status report_absent(qm_binder *b, const char *instead)
{
    if (b->missing(b->missing_user, b->name, instead)) return QUAMBA_OK;
    return qm_fail_memory(b->err, sizeof b->name, "the list of missing tensors");
}

/* One that a file may lack; *there says whether it does not. */
static quamba_status bind_optional(qm_binder *b, int32_t layer, const char *rest, float *value,
                                   bool *there, const char *instead)
{
    const qm_tensor *t = b->find(b->user, qm_bind_name(b, layer, rest));
    *there = t != NULL;
    if (b->missing) return t ? QUAMBA_OK : report_absent(b, instead);
    return t ? read_scalar(b, t, value) : QUAMBA_OK;
}

/* Fails unless rest (of b's layer) is what the tensors named in terms come to. */
static quamba_status agree(qm_binder *b, int32_t layer, const char *rest, float value,
                           const char *terms, double wanted)
{
    if (b->missing || fabs((double)value - wanted) <= tolerance * wanted) return QUAMBA_OK;
    return qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %.9g, but %s comes to %.9g",
                   qm_bind_name(b, layer, rest), (double)value, terms, wanted);
}

/* ---- weights --------------------------------------------------------------------------------- */

/* In place. */
static quamba_status bind_packed(qm_binder *b, qm_linear *linear)
{
    const size_t n = (size_t)linear->n_part, k = (size_t)linear->n_in;
    const int64_t parts = linear->n_out / linear->n_part;
    const int64_t shape[] = {parts * (int64_t)qm_packed_panels(n),
                             (int64_t)(qm_panel_bytes(k) / QM_PACK_GROUP), QM_PACK_OUTPUTS,
                             QM_PACK_TERMS};
    const qm_tensor *t;
    quamba_status status = qm_bind_find(b, QM_SET_I8, QM_COUNT(shape), shape, &t);
    if (!t) return status;
    linear->weight = t->data;
    if (qm_tensor_is_contiguous(t)) return QUAMBA_OK;
    return qm_fail(b->err, QUAMBA_E_UNSUPPORTED, 0,
                   "tensor %s is packed, but its groups do not follow each other", b->name);
}

/* A matrix of codes, stored [in, out] or packed, by parts of n_part outputs. */
static quamba_status bind_codes(qm_binder *b, qm_linear *linear, int32_t n_out, int32_t n_in,
                                int32_t n_part)
{
    quamba_model *m = b->model;
    if (n_in > MAX_INPUTS)
        return qm_fail(b->err, QUAMBA_E_UNSUPPORTED, 0,
                       "tensor %s has %" PRId32 " inputs: sums of more than %d products of codes "
                       "do not fit in 32 bits",
                       b->name, n_in, MAX_INPUTS);
    int64_t shape[2] = {n_in, n_out}, padded = ((int64_t)n_out + PAD - 1) / PAD * PAD;
    *linear = (qm_linear){.dtype = QM_I8, .n_out = n_out, .n_in = n_in, .n_part = n_part};
    m->n_parameters += (uint64_t)n_out * (uint64_t)n_in;
    const qm_tensor *t = b->find(b->user, b->name);
    if (t && qm_tensor_is_packed(t)) return b->missing ? QUAMBA_OK : bind_packed(b, linear);
    if (t && t->ndim == 2 && t->shape[1] == padded) shape[1] = padded;
    quamba_status status = qm_bind_find(b, QM_SET_I8, 2, shape, &t);
    if (!t) return status;
    int8_t *out = QM_CARVE(&m->packed, int8_t, n_out / n_part,
                           (int64_t)qm_packed_bytes((size_t)n_part, (size_t)n_in));
    linear->weight = out;
    return b->filling ? qm_bind_packing(b, t, linear, out) : QUAMBA_OK;
}

/* MODULE.weight, .a, .b and .alpha; terms and a: what MODULE.a must be. */
static quamba_status bind_linear(qm_binder *b, int32_t layer, const char *module, qm_linear *linear,
                                 int32_t n_out, int32_t n_in, int32_t n_part)
{
    char rest[64], terms[128];
    float alpha = 0;
    snprintf(rest, sizeof rest, "%s.weight", module);
    qm_bind_name(b, layer, rest);
    quamba_status status = bind_codes(b, linear, n_out, n_in, n_part);
    snprintf(rest, sizeof rest, "%s.a", module);
    if (status == QUAMBA_OK) status = bind_scale(b, layer, rest, &linear->a);
    snprintf(rest, sizeof rest, "%s.b", module);
    if (status == QUAMBA_OK) status = bind_scale(b, layer, rest, &linear->b);
    snprintf(rest, sizeof rest, "%s.alpha", module);
    if (status == QUAMBA_OK) status = bind_scale(b, layer, rest, &alpha);
    snprintf(terms, sizeof terms, "%s.a * %s.b", module, module);
    if (status == QUAMBA_OK)
        status = agree(b, layer, rest, alpha, terms, (double)linear->a * (double)linear->b);
    return status;
}

/* A vector or a small matrix of codes, [rows] or [rows][columns], transposed into one of two forms:
 * codes, or fl(scale * code). */
static quamba_status bind_small_codes(qm_binder *b, int32_t layer, const char *rest, float scale,
                                      int32_t rows, int32_t columns, const float **values,
                                      const int8_t **codes)
{
    quamba_model *m = b->model;
    const qm_tensor *t;
    const int32_t ndim = columns > 0 ? 2 : 1;
    qm_bind_name(b, layer, rest);
    quamba_status status = qm_bind_find(b, QM_SET_I8, ndim, (int64_t[]){rows, columns}, &t);
    if (!t) return status;
    const int64_t n_columns = columns > 0 ? columns : 1;
    float *out = values ? QM_CARVE(&m->arena, float, n_columns, rows) : NULL;
    int8_t *out_codes = values ? NULL : QM_CARVE(&m->arena, int8_t, n_columns, rows);
    uint64_t n = (uint64_t)rows * (uint64_t)n_columns;
    m->n_parameters += n;
    m->vector_bytes += values ? n * sizeof(float) : n;
    if (values) *values = out;
    if (codes) *codes = out_codes;
    if (!b->filling) return QUAMBA_OK;
    const int8_t *in = t->data;
    for (int64_t c = 0; c < n_columns; c++)
        for (int64_t r = 0; r < rows; r++) {
            int8_t code = in[r * t->stride[0] + (columns > 0 ? c * t->stride[1] : 0)];
            if (values)
                out[c * rows + r] = scale * (float)code;
            else
                out_codes[c * rows + r] = code;
        }
    return QUAMBA_OK;
}

/* ---- a layer --------------------------------------------------------------------------------- */

/* What the scales of a layer are next to those of qm_scales: consumed by the binding. */
typedef struct qm_weight_scales {
    float conv, conv_bias, a, d, dt_bias;
    float conv_output; /* must be u */
} qm_weight_scales;

static quamba_status bind_scales(qm_binder *b, int32_t layer, qm_scales *s, qm_weight_scales *w,
                                 int32_t *first_without_z)
{
    const struct {
        const char *name;
        float *slot;
    } scales[] = {
        {"norm.output_scale",                    &s->in         },
        {"mixer.conv1d.input_scale",             &s->x          },
        {"mixer.conv1d.output_scale",            &w->conv_output},
        {"mixer.conv1d.weight_scale",            &w->conv       },
        {"mixer.conv1d.bias_scale",              &w->conv_bias  },
        {"mixer.selective_scan.u_scale",         &s->u          },
        {"mixer.selective_scan.dt_scale",        &s->dt         },
        {"mixer.selective_scan.B_scale",         &s->b          },
        {"mixer.selective_scan.C_scale",         &s->c          },
        {"mixer.selective_scan.ssm_state_scale", &s->h          },
        {"mixer.selective_scan.A_scale",         &w->a          },
        {"mixer.selective_scan.D_scale",         &w->d          },
        {"mixer.selective_scan.dt_bias_scale",   &w->dt_bias    },
        {"mixer.had.x_H_scale",                  &s->o          },
    };
    quamba_status status = QUAMBA_OK;
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(scales); k++)
        status = bind_scale(b, layer, scales[k].name, scales[k].slot);
    bool has_z = true;
    if (status == QUAMBA_OK)
        status = bind_optional(b, layer, "mixer.selective_scan.z_scale", &s->z, &has_z,
                               "conv1d.input_scale of the layer is used");
    if (!has_z) s->z = s->x;
    if (!has_z && *first_without_z < 0) *first_without_z = layer;
    if (status == QUAMBA_OK && qm_bits_f32(w->conv_output) != qm_bits_f32(s->u))
        status = qm_fail(b->err, QUAMBA_E_FORMAT, 0,
                         "tensor %s is %.9g, but selective_scan.u_scale of that layer is %.9g: "
                         "they are one number",
                         qm_bind_name(b, layer, "mixer.conv1d.output_scale"),
                         (double)w->conv_output, (double)s->u);
    return status;
}

static quamba_status bind_linears(qm_binder *b, int32_t layer, qm_layer *l)
{
    const qm_config *c = &b->model->config;
    const int32_t e = c->d_inner, d = c->d_model, n = c->d_state, r = c->dt_rank;
    const struct {
        const char *module;
        qm_linear *linear;
        int32_t n_out, n_in, n_part;
    } linears[] = {
        {"mixer.in_proj",  &l->in_proj,  2 * e,     d, e        },
        {"mixer.x_proj",   &l->x_proj,   r + 2 * n, e, r + 2 * n},
        {"mixer.dt_proj",  &l->dt_proj,  e,         r, e        },
        {"mixer.out_proj", &l->out_proj, d,         e, d        },
    };
    quamba_status status = QUAMBA_OK;
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(linears); k++)
        status = bind_linear(b, layer, linears[k].module, linears[k].linear, linears[k].n_out,
                             linears[k].n_in, linears[k].n_part);
    return status;
}

/* The factor a of each linear is the scale of its input over that of its output. */
static quamba_status check_factors(qm_binder *b, int32_t layer, const qm_layer *l)
{
    const qm_scales *s = &l->scales;
    const struct {
        const char *name;
        float a;
        const char *terms;
        float over, under;
    } factors[] = {
        {"mixer.in_proj.a",  l->in_proj.a,  "norm.output_scale / conv1d.input_scale",           s->in, s->x},
        {"mixer.x_proj.a",   l->x_proj.a,   "selective_scan.u_scale / selective_scan.B_scale",  s->u,
         s->b                                                                                              },
        {"mixer.x_proj.a",   l->x_proj.a,   "selective_scan.u_scale / selective_scan.C_scale",  s->u,
         s->c                                                                                              },
        {"mixer.dt_proj.a",  l->dt_proj.a,  "selective_scan.B_scale / selective_scan.dt_scale", s->b,
         s->dt                                                                                             },
        {"mixer.out_proj.a", l->out_proj.a, "had.x_H_scale",                                    s->o,  1   },
    };
    quamba_status status = QUAMBA_OK;
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(factors); k++)
        status = agree(b, layer, factors[k].name, factors[k].a, factors[k].terms,
                       (double)factors[k].over / (double)factors[k].under);
    return status;
}

static quamba_status bind_vectors(qm_binder *b, int32_t layer, qm_layer *l,
                                  const qm_weight_scales *w)
{
    const qm_config *c = &b->model->config;
    const int32_t e = c->d_inner;
    const struct {
        const char *name;
        float scale;
        int32_t columns;
        const float **values;
        const int8_t **codes;
    } vectors[] = {
        {"mixer.conv1d.weight",          0,            c->d_conv,  NULL,          &l->conv_codes},
        {"mixer.conv1d.bias",            w->conv_bias, 0,          &l->conv_bias, NULL          },
        {"mixer.selective_scan.dt_bias", w->dt_bias,   0,          &l->dt_bias,   NULL          },
        {"mixer.selective_scan.A_log",   w->a,         c->d_state, &l->a,         NULL          },
        {"mixer.selective_scan.D",       w->d,         0,          &l->d,         NULL          },
    };
    qm_bind_name(b, layer, "norm.weight");
    quamba_status status = qm_bind_small(b, &l->norm, 1, (int64_t[]){c->d_model}, false);
    for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(vectors); k++)
        status = bind_small_codes(b, layer, vectors[k].name, vectors[k].scale, e,
                                  vectors[k].columns, vectors[k].values, vectors[k].codes);
    if (status == QUAMBA_OK && b->filling) {
        float *a = (float *)(uintptr_t)l->a; /* in our arena: A_log becomes A in place */
        for (size_t k = 0; k < (size_t)e * (size_t)c->d_state; k++)
            a[k] = -qm_expf(a[k]);
    }
    return status;
}

static quamba_status bind_layer(qm_binder *b, int32_t i, qm_layer *l, int32_t *first_without_z)
{
    qm_weight_scales w;
    *l = (qm_layer){0};
    quamba_status status = bind_linears(b, i, l);
    if (status == QUAMBA_OK) status = bind_scales(b, i, &l->scales, &w, first_without_z);
    if (status == QUAMBA_OK) status = check_factors(b, i, l);
    if (status == QUAMBA_OK) status = bind_vectors(b, i, l, &w);
    l->scales.w = w.conv;
    l->conv_factor = w.conv * l->scales.x;
    return status;
}

/* ---- outside the layers ---------------------------------------------------------------------- */

/* Written by `quamba quantize`, which leaves nothing out: what is not there is not missing. */
static bool is_ours(const quamba_model *m)
{
    const json_t *config = m->source ? qm_source_config(m->source) : NULL;
    return !m->source || json_is_object(json_object_get(config, "quantization_config"));
}

/* A floating-point matrix; upstream's half model holds it in half. */
static quamba_status bind_half(qm_binder *b, const char *name, qm_linear *linear)
{
    const qm_config *c = &b->model->config;
    const qm_tensor *t = b->find(b->user, qm_bind_name(b, -1, name));
    quamba_status status = qm_bind_matrix(b, linear, c->n_vocab, c->d_model, true);
    if (status == QUAMBA_OK && t && t->dtype != QM_F16)
        status = qm_bind_warn(b, "%s is %s: cast to half", name, qm_dtype_name(t->dtype));
    return status;
}

static quamba_status bind_embedding(qm_binder *b)
{
    quamba_model *m = b->model;
    const qm_config *c = &m->config;
    const char *name = "backbone.embedding.weight";
    const qm_tensor *t = b->find(b->user, qm_bind_name(b, -1, name));
    if (!t || t->dtype != QM_I8) return bind_half(b, name, &m->embedding);
    quamba_status status = qm_bind_find(b, QM_SET_I8, 2, (int64_t[]){c->n_vocab, c->d_model}, &t);
    if (t) {
        m->embedding =
            (qm_linear){.weight = t->data, .dtype = QM_I8, .n_out = c->n_vocab, .n_in = c->d_model};
        m->n_parameters += qm_tensor_count(t);
        if (!qm_tensor_is_contiguous(t)) {
            int8_t *out = QM_CARVE(&m->arena, int8_t, c->n_vocab, c->d_model);
            m->embedding.weight = out;
            if (b->filling) qm_tensor_copy(t, out);
        }
    }
    qm_bind_name(b, -1, "backbone.embedding.scales");
    if (status == QUAMBA_OK)
        status = qm_bind_small(b, &m->embedding_scales, 1, (int64_t[]){c->n_vocab}, false);
    return status;
}

static quamba_status bind_norm_f(qm_binder *b)
{
    static const char name[] = "backbone.norm_f.output_scale";
    quamba_model *m = b->model;
    const bool int8 = m->head.dtype == QM_I8, rounded = m->norm_f_kind == QM_NORM_F_DEQUANT;
    const char *instead = rounded ? "the norm's result is rounded to 127 steps per token"
                          : int8
                              ? "the head quantizes the norm's result at its own scale, lm_head.a"
                              : "the head gets the norm's floating-point result";
    bool there;
    qm_bind_name(b, -1, "backbone.norm_f.weight");
    quamba_status status = qm_bind_small(b, &m->norm_f, 1, (int64_t[]){m->config.d_model}, false);
    if (status == QUAMBA_OK) status = bind_optional(b, -1, name, &m->norm_f_scale, &there, instead);
    if (status != QUAMBA_OK || b->missing) return status;
    if (there && !int8)
        return qm_bind_warn(b, "%s is there, but the head is %s: it is ignored", name,
                            qm_dtype_name(m->head.dtype));
    if (!there && (int8 || rounded || !is_ours(m)))
        return qm_bind_warn(b, "%s is missing: %s", name, instead);
    if (!there) return QUAMBA_OK;
    if (b->filling) m->norm_f_kind = QM_NORM_F_CODES;
    return agree(b, -1, "lm_head.a", m->head.a, name, (double)m->norm_f_scale);
}

static quamba_status bind_head(qm_binder *b)
{
    static const char bias[] = "lm_head.bias", no_bias[] = "the head runs without bias";
    quamba_model *m = b->model;
    const qm_config *c = &m->config;
    const qm_tensor *t = b->find(b->user, qm_bind_name(b, -1, "lm_head.weight"));
    quamba_status status = QUAMBA_OK;
    m->head = m->embedding;
    if (t && t->dtype == QM_I8)
        status = bind_linear(b, -1, "lm_head", &m->head, c->n_vocab, c->d_model, c->n_vocab);
    else if (!c->tie_embeddings)
        status = bind_half(b, "lm_head.weight", &m->head);
    else if (m->embedding.dtype == QM_I8 && !b->missing)
        status = qm_fail(b->err, QUAMBA_E_FORMAT, 0,
                         "tensor lm_head.weight is missing: an INT8 embedding cannot be the head");
    if (status != QUAMBA_OK) return status;
    t = b->find(b->user, qm_bind_name(b, -1, bias));
    if (b->missing) return t ? QUAMBA_OK : report_absent(b, no_bias);
    if (t) return qm_bind_small(b, &m->head_bias, 1, (int64_t[]){c->n_vocab}, false);
    return is_ours(m) ? QUAMBA_OK : qm_bind_warn(b, "%s is missing: %s", bias, no_bias);
}

quamba_status qm_bind_w8a8(qm_binder *b)
{
    quamba_model *m = b->model;
    const qm_config *c = &m->config;
    m->layers = QM_CARVE(&m->arena, qm_layer, c->n_layer);
    qm_layer measured;
    int32_t first_without_z = -1;
    quamba_status status = bind_embedding(b);
    for (int32_t i = 0; status == QUAMBA_OK && i < c->n_layer; i++)
        status = bind_layer(b, i, b->filling ? &m->layers[i] : &measured, &first_without_z);
    if (status == QUAMBA_OK && first_without_z >= 0)
        status = qm_bind_warn(b, "%s is missing (first of its kind): conv1d.input_scale is used",
                              qm_bind_name(b, first_without_z, "mixer.selective_scan.z_scale"));
    if (status == QUAMBA_OK) status = bind_head(b);
    return status == QUAMBA_OK ? bind_norm_f(b) : status;
}
