#include "cli/inspect.h"

#include "base/half.h"
#include "base/mem.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a checkpoint needs ----------------------------------------------------------------- */

/* Names in backbone.layers.N. of Mamba-2, which nothing here binds. */
static const char *const mamba2[] = {
    "norm.weight",       "mixer.in_proj.weight", "mixer.conv1d.weight",
    "mixer.conv1d.bias", "mixer.dt_bias",        "mixer.A_log",
    "mixer.D",           "mixer.norm.weight",    "mixer.out_proj.weight"};

static const qm_tensor *find_in_source(const void *user, const char *name)
{
    bool embedding = strcmp(name, "backbone.embedding.weight") == 0;
    return embedding ? qm_config_embedding(user) : qm_source_find(user, name);
}

static bool report_missing(void *user, const char *name, const char *instead)
{
    qc_findings *f = user;
    if (!instead) return json_array_append_new(f->missing, json_string(name)) == 0;
    json_t *pair = json_pack("{s:s, s:s}", "name", name, "instead", instead);
    return json_array_append_new(f->replaced, pair) == 0;
}

static bool find_missing_mamba2(qc_findings *f, const qm_source *source, int32_t n_layer)
{
    for (int32_t layer = 0; layer < n_layer; layer++)
        for (size_t i = 0; i < QM_COUNT(mamba2); i++) {
            char name[96];
            snprintf(name, sizeof name, "backbone.layers.%" PRId32 ".%s", layer, mamba2[i]);
            if (!qm_source_find(source, name) && !report_missing(f, name, NULL)) return false;
        }
    static const char norm_f[] = "backbone.norm_f.weight";
    return qm_source_find(source, norm_f) || report_missing(f, norm_f, NULL);
}

/* config.json's number of layers counts where it is larger: the tensors end at the first gap. */
static bool find_missing(qc_findings *f, const qm_source *source)
{
    qm_config said = {0}, config = f->config;
    const json_t *json = qm_source_config(source);
    if (json && qm_config_parse(&said, json, NULL) != QUAMBA_OK) said.n_layer = 0;
    if (said.n_layer > config.n_layer) config.n_layer = said.n_layer;
    f->missing_known = config.scheme <= (config.mamba_version == 1 ? QM_W8A8 : QM_FLOAT);
    if (!f->missing_known) return true;
    if (config.mamba_version == 2) return find_missing_mamba2(f, source, config.n_layer);
    return qm_model_missing(&config, find_in_source, source, report_missing, f, NULL) == QUAMBA_OK;
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
    *f = (qc_findings){.kind = "unknown", .missing = json_array(), .replaced = json_array()};
    if (!f->missing || !f->replaced) return false;
    sum_up(f, source);
    f->head = find_head(source);
    quamba_status status = qm_config_infer(&f->config, source, &err);
    f->is_mamba = f->config.n_layer > 0;
    if (f->is_mamba) f->kind = qm_config_kind(&f->config);
    if (f->is_mamba && !find_missing(f, source)) return false;
    qm_config whole;
    if (status == QUAMBA_OK) status = qm_config_of(&whole, source, &err);
    if (status != QUAMBA_OK) snprintf(f->problem, sizeof f->problem, "%s", err.message);
    return true;
}

void qc_findings_free(qc_findings *f)
{
    json_decref(f->missing);
    json_decref(f->replaced);
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
