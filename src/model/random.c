#include "base/random.h"
#include "base/half.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of a made-up checkpoint, under the names of a real one.  They are listed twice: first
 * counted, then filled. */
typedef struct qm_random {
    qm_tensor *tensors; /* [n]; NULL while they are counted */
    char (*names)[80];  /* [n] */
    size_t n;
    unsigned char *data; /* all elements */
    size_t used;
    uint64_t state; /* splitmix64 */
} qm_random;

/* ---- tensors --------------------------------------------------------------------------------- */

/* Adds a tensor, row-major; dims ends with 0.  Returns its elements, NULL while counting, and their
 * number. */
static void *add(qm_random *r, int32_t layer, const char *name, qm_dtype dtype,
                 const int64_t dims[4], size_t *n)
{
    qm_tensor t = {.dtype = dtype};
    *n = 1;
    while (dims[t.ndim] > 0)
        t.ndim++;
    for (int32_t i = t.ndim; i-- > 0;) {
        t.shape[i] = dims[i];
        t.stride[i] = (int64_t)*n;
        *n *= (size_t)dims[i];
    }
    unsigned char *at = r->tensors ? r->data + r->used : NULL;
    r->used += (*n * qm_dtype_size(dtype) + 63) / 64 * 64;
    const size_t index = r->n++;
    if (!at) return NULL;
    char *full = r->names[index];
    if (layer >= 0)
        snprintf(full, sizeof r->names[0], "backbone.layers.%" PRId32 ".%s", layer, name);
    else
        snprintf(full, sizeof r->names[0], "%s", name);
    t.name = full;
    t.data = at;
    r->tensors[index] = t;
    return at;
}

/* Values center + spread * uniform in [-1, 1). */
static void add_values(qm_random *r, int32_t layer, const char *name, float center, float spread,
                       const int64_t dims[4])
{
    size_t n;
    float *at = add(r, layer, name, QM_F32, dims, &n);
    for (size_t i = 0; at && i < n; i++)
        at[i] = center + spread * ((float)(qm_splitmix64(&r->state) >> 40) * 0x1p-23f - 1.0f);
}

/* A matrix in half, as in the checkpoints people have. */
static void add_matrix(qm_random *r, int32_t layer, const char *name, float spread, int64_t n_out,
                       int64_t n_in)
{
    size_t n;
    uint16_t *at = add(r, layer, name, QM_F16, (int64_t[4]){n_out, n_in}, &n);
    for (size_t i = 0; at && i < n; i++)
        at[i] = qm_f16_f32(spread * ((float)(qm_splitmix64(&r->state) >> 40) * 0x1p-23f - 1.0f));
}

static void add_scale(qm_random *r, int32_t layer, const char *name, float value)
{
    size_t n;
    float *at = add(r, layer, name, QM_F32, (int64_t[4]){0}, &n);
    if (at) *at = value;
}

/* Codes low .. high, eight of a drawn number. */
static void add_codes(qm_random *r, int32_t layer, const char *name, int32_t low, int32_t high,
                      const int64_t dims[4])
{
    size_t n;
    int8_t *at = add(r, layer, name, QM_I8, dims, &n);
    for (size_t i = 0; at && i < n; i += 8) {
        uint64_t bits = qm_splitmix64(&r->state);
        for (size_t k = i; k < n && k < i + 8; k++, bits >>= 8)
            at[k] = (int8_t)(low + ((int32_t)(bits & 255) * (high - low + 1) >> 8));
    }
}

/* A module of codes up to spread, stored [in, out] with the bytes of [out][in] as upstream's files
 * have it. */
static void add_linear(qm_random *r, int32_t layer, const char *module, float a, float spread,
                       int64_t n_out, int64_t n_in)
{
    const float b = spread / 127;
    char name[64];
    snprintf(name, sizeof name, "%s.weight", module);
    add_codes(r, layer, name, -127, 127, (int64_t[4]){n_in, n_out});
    if (r->tensors) {
        qm_tensor *t = &r->tensors[r->n - 1];
        t->stride[0] = 1;
        t->stride[1] = n_in;
    }
    snprintf(name, sizeof name, "%s.a", module);
    add_scale(r, layer, name, a);
    snprintf(name, sizeof name, "%s.b", module);
    add_scale(r, layer, name, b);
    snprintf(name, sizeof name, "%s.alpha", module);
    add_scale(r, layer, name, a * b);
}

/* ---- models ---------------------------------------------------------------------------------- */

/* Weights as they come in trained models: decays from exp(-0.001) up, time steps around 0.01. */
#define IN_SPREAD 0.05f
#define X_SPREAD 0.05f
#define DT_SPREAD 0.1f
#define OUT_SPREAD 0.05f
#define CONV_SPREAD 0.5f
#define HEAD_SPREAD 0.1f

static void add_float_layer(qm_random *r, const qm_config *c, int32_t i)
{
    const int64_t e = c->d_inner, d = c->d_model, n = c->d_state, k = c->dt_rank;
    add_values(r, i, "norm.weight", 1, 0.1f, (int64_t[4]){d});
    add_matrix(r, i, "mixer.in_proj.weight", IN_SPREAD, 2 * e, d);
    add_values(r, i, "mixer.conv1d.weight", 0, CONV_SPREAD, (int64_t[4]){e, 1, c->d_conv});
    add_values(r, i, "mixer.conv1d.bias", 0, 0.1f, (int64_t[4]){e});
    add_matrix(r, i, "mixer.x_proj.weight", X_SPREAD, k + 2 * n, e);
    add_matrix(r, i, "mixer.dt_proj.weight", DT_SPREAD, e, k);
    add_values(r, i, "mixer.dt_proj.bias", -4, 1, (int64_t[4]){e});
    add_values(r, i, "mixer.A_log", 1.4f, 1.4f, (int64_t[4]){e, n});
    add_values(r, i, "mixer.D", 1, 0.5f, (int64_t[4]){e});
    add_matrix(r, i, "mixer.out_proj.weight", OUT_SPREAD, d, e);
}

/* Standard deviation of the sum of n products of inputs of deviation `input` with uniform weights.
 */
static float spread_of_sum(int32_t n, float input, float weights)
{
    return sqrtf((float)n / 3) * input * weights;
}

/* What calibration would find, estimated: codes span four standard deviations. */
static void estimate_scales(qm_scales *s, const qm_config *c)
{
    const float step = 4.0f / 127;
    const float x = spread_of_sum(c->d_model, 1, IN_SPREAD);
    const float u = spread_of_sum(c->d_conv, x, CONV_SPREAD) / 2; /* SiLU halves what is small */
    const float b = spread_of_sum(c->d_inner, u, X_SPREAD);
    *s = (qm_scales){
        .in = step,
        .x = step * x,
        .z = step * x,
        .w = CONV_SPREAD / 127,
        .u = 2 * step * u, /* its positive half is not halved */
        .b = step * b,
        .c = step * b,
        .dt = step * spread_of_sum(c->dt_rank, b, DT_SPREAD),
        .h = step * u * b / 10, /* sqrt(time step / 2 decay) */
        .o = step * u * x / 2,
    };
}

static void add_w8a8_layer(qm_random *r, const qm_config *c, int32_t i)
{
    const int64_t e = c->d_inner, d = c->d_model, n = c->d_state, k = c->dt_rank;
    qm_scales s;
    estimate_scales(&s, c);
    const struct {
        const char *name;
        float value;
    } scales[] = {
        {"norm.output_scale",                    s.in      },
        {"mixer.conv1d.input_scale",             s.x       },
        {"mixer.conv1d.output_scale",            s.u       },
        {"mixer.conv1d.weight_scale",            s.w       },
        {"mixer.conv1d.bias_scale",              0.1f / 127},
        {"mixer.selective_scan.u_scale",         s.u       },
        {"mixer.selective_scan.dt_scale",        s.dt      },
        {"mixer.selective_scan.B_scale",         s.b       },
        {"mixer.selective_scan.C_scale",         s.c       },
        {"mixer.selective_scan.z_scale",         s.z       },
        {"mixer.selective_scan.ssm_state_scale", s.h       },
        {"mixer.selective_scan.A_scale",         2.8f / 127},
        {"mixer.selective_scan.D_scale",         1.5f / 127},
        {"mixer.selective_scan.dt_bias_scale",   5.0f / 127},
        {"mixer.had.x_H_scale",                  s.o       },
    };
    for (size_t j = 0; j < QM_COUNT(scales); j++)
        add_scale(r, i, scales[j].name, scales[j].value);
    add_values(r, i, "norm.weight", 1, 0.1f, (int64_t[4]){d});
    add_linear(r, i, "mixer.in_proj", s.in / s.x, IN_SPREAD, 2 * e, d);
    add_codes(r, i, "mixer.conv1d.weight", -127, 127, (int64_t[4]){e, c->d_conv});
    add_codes(r, i, "mixer.conv1d.bias", -127, 127, (int64_t[4]){e});
    add_linear(r, i, "mixer.x_proj", s.u / s.b, X_SPREAD, k + 2 * n, e);
    add_linear(r, i, "mixer.dt_proj", s.b / s.dt, DT_SPREAD, e, k);
    add_codes(r, i, "mixer.selective_scan.dt_bias", -127, -76, (int64_t[4]){e});
    add_codes(r, i, "mixer.selective_scan.A_log", 0, 127, (int64_t[4]){e, n});
    add_codes(r, i, "mixer.selective_scan.D", 42, 127, (int64_t[4]){e});
    add_linear(r, i, "mixer.out_proj", s.o, OUT_SPREAD, d, e);
}

static void add_all(qm_random *r, const qm_config *c, const qm_random_options *opt)
{
    const int64_t v = c->n_vocab, d = c->d_model;
    size_t n;
    r->n = r->used = 0;
    if (c->quantized && !opt->half_embedding) {
        add_codes(r, -1, "backbone.embedding.weight", -127, 127, (int64_t[4]){v, d});
        uint16_t *scales = add(r, -1, "backbone.embedding.scales", QM_F16, (int64_t[4]){v}, &n);
        for (size_t i = 0; scales && i < n; i++)
            scales[i] = qm_f16_f32(HEAD_SPREAD / 127);
    } else {
        add_matrix(r, -1, "backbone.embedding.weight", HEAD_SPREAD, v, d);
    }
    add_values(r, -1, "backbone.norm_f.weight", 1, 0.1f, (int64_t[4]){d});
    for (int32_t i = 0; i < c->n_layer; i++)
        if (c->quantized)
            add_w8a8_layer(r, c, i);
        else
            add_float_layer(r, c, i);
    if (c->quantized && !opt->half_head) {
        const float scale = 4.0f / 127; /* of the norm's result */
        add_scale(r, -1, "backbone.norm_f.output_scale", scale);
        add_linear(r, -1, "lm_head", scale, HEAD_SPREAD, v, d);
    } else if (!c->tie_embeddings) {
        add_matrix(r, -1, "lm_head.weight", HEAD_SPREAD, v, d);
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
                              const quamba_datapath *datapath, const qm_random_options *options,
                              quamba_error *err)
{
    qm_random r = {.state = options->seed};
    quamba_status status = QUAMBA_OK;
    quamba_model *m = *model = qm_alloc(1, sizeof *m);
    if (!m) return qm_fail_memory(err, sizeof *m, "a random model");
    m->config = *config;
    m->datapath = datapath;
    if (config->quantized) /* INT8 codes are shared by no two matrices */
        m->config.tie_embeddings =
            config->tie_embeddings && options->half_embedding && options->half_head;
    add_all(&r, &m->config, options);
    m->random = r.data = qm_alloc(r.used, 1);
    r.names = qm_alloc(r.n, sizeof *r.names);
    r.tensors = qm_alloc(r.n, sizeof *r.tensors);
    if (!r.data || !r.names || !r.tensors) {
        status = qm_fail_memory(err, r.used, "random weights");
    } else {
        add_all(&r, &m->config, options);
        status = qm_model_bind(m, find_random, &r, 1, err);
    }
    for (int32_t i = 0; status == QUAMBA_OK && i < config->n_layer; i++)
        m->layers[i].scales.u_unclipped = 2 * m->layers[i].scales.u; /* in no file; 0 where float */
    free(r.tensors);
    free(r.names);
    if (status != QUAMBA_OK) quamba_model_close(model);
    return status;
}
