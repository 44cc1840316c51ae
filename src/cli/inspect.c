#include "cli/inspect.h"

#include "base/half.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a checkpoint needs ----------------------------------------------------------------- */

/* Names in backbone.layers.N., per kind; Mamba-1 and -2 as state-spaces and Hugging Face write
 * them, W8A8 as upstream Quamba. */
static const char *const mamba1[] = {
    "norm.weight",          "mixer.in_proj.weight", "mixer.conv1d.weight",
    "mixer.conv1d.bias",    "mixer.x_proj.weight",  "mixer.dt_proj.weight",
    "mixer.dt_proj.bias",   "mixer.A_log",          "mixer.D",
    "mixer.out_proj.weight"};
static const char *const mamba2[] = {
    "norm.weight",       "mixer.in_proj.weight", "mixer.conv1d.weight",
    "mixer.conv1d.bias", "mixer.dt_bias",        "mixer.A_log",
    "mixer.D",           "mixer.norm.weight",    "mixer.out_proj.weight"};
static const char *const mamba1_w8a8[] = {
    "norm.weight",
    "norm.output_scale",
    "mixer.in_proj.weight",
    "mixer.in_proj.a",
    "mixer.in_proj.b",
    "mixer.in_proj.alpha",
    "mixer.conv1d.weight",
    "mixer.conv1d.bias",
    "mixer.conv1d.weight_scale",
    "mixer.conv1d.bias_scale",
    "mixer.conv1d.input_scale",
    "mixer.conv1d.output_scale",
    "mixer.x_proj.weight",
    "mixer.x_proj.a",
    "mixer.x_proj.b",
    "mixer.x_proj.alpha",
    "mixer.dt_proj.weight",
    "mixer.dt_proj.a",
    "mixer.dt_proj.b",
    "mixer.dt_proj.alpha",
    "mixer.selective_scan.A_log",
    "mixer.selective_scan.D",
    "mixer.selective_scan.dt_bias",
    "mixer.selective_scan.A_scale",
    "mixer.selective_scan.D_scale",
    "mixer.selective_scan.dt_bias_scale",
    "mixer.selective_scan.u_scale",
    "mixer.selective_scan.dt_scale",
    "mixer.selective_scan.B_scale",
    "mixer.selective_scan.C_scale",
    "mixer.selective_scan.z_scale",
    "mixer.selective_scan.ssm_state_scale",
    "mixer.had.x_H_scale",
    "mixer.out_proj.weight",
    "mixer.out_proj.a",
    "mixer.out_proj.b",
    "mixer.out_proj.alpha",
};

static const struct {
    const char *kind;
    const char *const *names;
    size_t n;
} needs[] = {
    {"mamba1",      mamba1,      QM_COUNT(mamba1)     },
    {"mamba2",      mamba2,      QM_COUNT(mamba2)     },
    {"mamba1 w8a8", mamba1_w8a8, QM_COUNT(mamba1_w8a8)},
};

static const char *find_kind(const qm_config *config, const qm_source *source)
{
    bool one = config->mamba_version == 1;
    const qm_tensor *in = qm_source_find(source, "backbone.layers.0.mixer.in_proj.weight");
    if (!config->quantized) return one ? "mamba1" : "mamba2";
    if (in && in->dtype == QM_I8) return one ? "mamba1 w8a8" : "mamba2 w8a8";
    if (qm_source_find(source, "backbone.layers.0.mixer.in_proj.s_group"))
        return one ? "mamba1 w4a8" : "mamba2 w4a8";
    return one ? "mamba1 w4a16" : "mamba2 w4a16";
}

static bool need(qc_findings *f, const qm_source *source, const char *name)
{
    return qm_source_find(source, name) ||
           json_array_append_new(f->missing, json_string(name)) == 0;
}

/* config.json's number of layers counts where it is larger: the tensors end at the first gap. */
static bool find_missing(qc_findings *f, const qm_source *source)
{
    qm_config said = {0};
    const json_t *json = qm_source_config(source);
    if (json && qm_config_parse(&said, json, NULL) != QUAMBA_OK) said.n_layer = 0;
    int32_t n_layer = said.n_layer > f->config.n_layer ? said.n_layer : f->config.n_layer;
    for (size_t k = 0; k < QM_COUNT(needs); k++) {
        if (strcmp(needs[k].kind, f->kind) != 0) continue;
        f->missing_known = true;
        for (int32_t layer = 0; layer < n_layer; layer++)
            for (size_t i = 0; i < needs[k].n; i++) {
                char name[96];
                snprintf(name, sizeof name, "backbone.layers.%" PRId32 ".%s", layer,
                         needs[k].names[i]);
                if (!need(f, source, name)) return false;
            }
    }
    return !f->missing_known || need(f, source, "backbone.norm_f.weight");
}

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), n_tail = strlen(tail);
    return n >= n_tail && strcmp(text + n - n_tail, tail) == 0;
}

static bool is_matrix(const char *name)
{
    return ends_with(name, "_proj.weight") || ends_with(name, "conv1d.weight") ||
           ends_with(name, "lm_head.weight") || ends_with(name, "embedding.weight") ||
           ends_with(name, "embeddings.weight");
}

static void sum_up(qc_findings *f, const qm_source *source)
{
    for (size_t i = 0; i < qm_source_count(source); i++) {
        const qm_tensor *t = qm_source_at(source, i);
        f->n_elements += qm_tensor_count(t);
        f->n_bytes += qm_tensor_bytes(t);
        if (t->python_float)
            f->n_python_floats++;
        else if (is_matrix(t->name))
            f->matrix_types |= 1u << t->dtype;
        else
            f->vector_types |= 1u << t->dtype;
    }
}

static qc_head find_head(const qm_source *source)
{
    const qm_tensor *head = qm_source_find(source, "lm_head.weight");
    const qm_tensor *embedding = qm_config_embedding(source);
    if (!head) return QC_HEAD_NONE;
    if (!embedding || head->dtype != embedding->dtype || head->ndim != embedding->ndim ||
        memcmp(head->shape, embedding->shape, sizeof head->shape) != 0 ||
        memcmp(head->stride, embedding->stride, sizeof head->stride) != 0 ||
        !qm_tensor_is_contiguous(head))
        return QC_HEAD_OWN;
    bool equal = head->data == embedding->data ||
                 memcmp(head->data, embedding->data, qm_tensor_bytes(head)) == 0;
    return equal ? QC_HEAD_TIED : QC_HEAD_OWN;
}

bool qc_findings_make(qc_findings *f, const qm_source *source)
{
    quamba_error err;
    *f = (qc_findings){.kind = "unknown", .missing = json_array()};
    if (!f->missing) return false;
    sum_up(f, source);
    f->head = find_head(source);
    quamba_status status = qm_config_infer(&f->config, source, &err);
    f->is_mamba = f->config.n_layer > 0;
    if (f->is_mamba) f->kind = find_kind(&f->config, source);
    if (f->is_mamba && !find_missing(f, source)) return false;
    qm_config whole;
    if (status == QUAMBA_OK) status = qm_config_of(&whole, source, &err);
    if (status != QUAMBA_OK) snprintf(f->problem, sizeof f->problem, "%s", err.message);
    return true;
}

void qc_findings_free(qc_findings *f)
{
    json_decref(f->missing);
    *f = (qc_findings){0};
}

const char *qc_type_names(unsigned types, char out[64])
{
    size_t at = 0;
    snprintf(out, 64, "none");
    for (int i = 0; i < QM_N_DTYPES; i++)
        if (types >> i & 1)
            at += (size_t)snprintf(out + at, 64 - at, "%s%s", at > 0 ? ", " : "",
                                   qm_dtype_name((qm_dtype)i));
    return out;
}

/* ---- one tensor ------------------------------------------------------------------------------ */

#define LOAD(type)                                                                                 \
    {                                                                                              \
        type x;                                                                                    \
        memcpy(&x, element, sizeof x);                                                             \
        return (double)x;                                                                          \
    }

static double widen(qm_dtype dtype, const unsigned char *element)
{
    uint16_t half;
    switch (dtype) {
    case QM_F32:
        LOAD(float)
    case QM_F64:
        LOAD(double)
    case QM_I8:
        LOAD(int8_t)
    case QM_U8:
    case QM_BOOL:
        LOAD(uint8_t)
    case QM_I16:
        LOAD(int16_t)
    case QM_I32:
        LOAD(int32_t)
    case QM_I64:
        LOAD(int64_t)
    case QM_F16:
    case QM_BF16:
    case QM_N_DTYPES:
        break;
    }
    memcpy(&half, element, sizeof half);
    return (double)(dtype == QM_F16 ? qm_f32_f16(half) : qm_f32_bf16(half));
}

static void add_value(qc_statistics *s, double x)
{
    s->n_nan += isnan(x) != 0;
    s->n_inf += isinf(x) != 0;
    s->n_zero += x == 0;
    if (!isfinite(x)) return;
    uint64_t n_finite = s->n - s->n_nan - s->n_inf;
    if (n_finite == 0 || x < s->min) s->min = x;
    if (n_finite == 0 || x > s->max) s->max = x;
    s->mean += x; /* the sum, for now */
}

void qc_tensor_statistics(const qm_tensor *tensor, qc_statistics *s, double *first, size_t n_first)
{
    enum { PIECE = 4096 };
    unsigned char piece[PIECE];
    size_t size = qm_dtype_size(tensor->dtype);
    uint64_t count = qm_tensor_count(tensor), n;
    *s = (qc_statistics){0};
    for (uint64_t at = 0; at < count; at += n) {
        n = count - at < PIECE / size ? count - at : PIECE / size;
        qm_tensor_copy_range(tensor, at, n, piece);
        for (size_t i = 0; i < n; i++) {
            double x = widen(tensor->dtype, piece + i * size);
            if (at + i < n_first) first[at + i] = x;
            add_value(s, x);
            s->n++;
        }
    }
    uint64_t n_finite = s->n - s->n_nan - s->n_inf;
    if (n_finite == 0) s->min = s->max = (double)NAN;
    s->mean = n_finite > 0 ? s->mean / (double)n_finite : (double)NAN;
    s->absmax = fmax(fabs(s->min), fabs(s->max));
}
