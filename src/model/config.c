#include "model/config.h"

#include "base/mem.h"
#include "base/packed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 10000, MAX_DIM = 1 << 20, MAX_VOCAB = 1 << 24 };

/* ---- config.json ----------------------------------------------------------------------------- */

/* One number under all the names it goes by; the first is the one in messages. */
typedef struct qm_field {
    size_t offset; /* of an int32_t in qm_config */
    int64_t high;
    const char *names[3];
} qm_field;

#define FIELD(member) offsetof(qm_config, member)
static const qm_field fields[] = {
    {FIELD(d_model), MAX_DIM,    {"d_model", "hidden_size", NULL}      },
    {FIELD(n_layer), MAX_LAYERS, {"n_layer", "num_hidden_layers", NULL}},
    {FIELD(d_inner), MAX_DIM,    {"d_inner", "intermediate_size", NULL}},
    {FIELD(n_vocab), MAX_VOCAB,  {"vocab_size", NULL, NULL}            },
    {FIELD(d_state), MAX_DIM,    {"d_state", "state_size", NULL}       },
    {FIELD(d_conv),  MAX_DIM,    {"d_conv", "conv_kernel", NULL}       },
    {FIELD(dt_rank), MAX_DIM,    {"dt_rank", "time_step_rank", NULL}   },
};
#undef FIELD

static int32_t *field_of(qm_config *config, const qm_field *field)
{
    return (int32_t *)(void *)((char *)config + field->offset);
}

/* Reads every known number of one JSON object into config. */
static quamba_status parse_numbers(qm_config *config, const json_t *object, quamba_error *err)
{
    for (size_t i = 0; i < QM_COUNT(fields); i++) {
        int32_t *slot = field_of(config, &fields[i]);
        for (const char *const *name = fields[i].names; *name; name++) {
            const char *text = json_string_value(json_object_get(object, *name));
            if (text && strcmp(text, "auto") == 0) continue; /* dt_rank: the tensors tell */
            int64_t value = 0;
            quamba_status status = qm_json_int(object, *name, 1, fields[i].high, &value, err);
            if (status != QUAMBA_OK) return status;
            if (value == 0) continue;
            if (*slot != 0 && *slot != value)
                return qm_fail(err, QUAMBA_E_FORMAT, 0,
                               "\"%s\" is %" PRId64 ", but another spelling of it says %" PRId32,
                               *name, value, *slot);
            *slot = (int32_t)value;
        }
    }
    return QUAMBA_OK;
}

static quamba_status parse_layer_kind(qm_config *config, const char *layer, quamba_error *err)
{
    static const struct {
        const char *name;
        int32_t version;
        bool quantized;
    } kinds[] = {
        {"Mamba1",       1, false},
        {"Mamba",        1, false},
        {"mamba",        1, false},
        {"Mamba2",       2, false},
        {"mamba2",       2, false},
        {"W8A8QMamba",   1, true },
        {"W4A8QMamba",   1, true },
        {"W4A16QMamba",  1, true },
        {"W8A8QMamba2",  2, true },
        {"W4A8QMamba2",  2, true },
        {"W4A16QMamba2", 2, true },
    };
    for (size_t i = 0; i < QM_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, layer) == 0) {
            config->mamba_version = kinds[i].version;
            config->quantized = kinds[i].quantized;
            return QUAMBA_OK;
        }
    return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                   "\"%.60s\" is not a kind of model this program knows (Mamba1, Mamba2, mamba)",
                   layer);
}

/* Variants that would compute something else than this program does. */
static quamba_status refuse_variants(const json_t *json, quamba_error *err)
{
    static const struct {
        const char *key;
        bool wanted;
    } flags[] = {
        {"rms_norm",         true },
        {"residual_in_fp32", true },
        {"use_bias",         false},
        {"use_conv_bias",    true },
        {"is_hybrid",        false}
    };
    for (size_t i = 0; i < QM_COUNT(flags); i++) {
        bool value = flags[i].wanted;
        quamba_status status = qm_json_bool(json, flags[i].key, &value, err);
        if (status != QUAMBA_OK) return status;
        if (value != flags[i].wanted)
            return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "\"%s\" is %s: only %s is supported",
                           flags[i].key, value ? "true" : "false", value ? "false" : "true");
    }
    int64_t d_intermediate = 0;
    quamba_status status = qm_json_int(json, "d_intermediate", 0, MAX_DIM, &d_intermediate, err);
    if (status != QUAMBA_OK) return status;
    if (d_intermediate != 0)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "\"d_intermediate\" is %" PRId64 ": blocks with an MLP are not supported",
                       d_intermediate);
    if (json_array_size(json_object_get(json, "attn_layer_idx")) > 0)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "\"attn_layer_idx\" lists attention layers: they are not supported");
    const char *act = "silu";
    status = qm_json_string(json, "hidden_act", &act, err);
    if (status == QUAMBA_OK && strcmp(act, "silu") != 0)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "\"hidden_act\" is \"%.40s\": only \"silu\" is supported", act);
    return status;
}

quamba_status qm_config_parse(qm_config *config, const json_t *json, quamba_error *err)
{
    *config = (qm_config){.mamba_version = 1, .tie_embeddings = true, .norm_eps = 1e-5};
    if (!json_is_object(json)) return qm_fail(err, QUAMBA_E_FORMAT, 0, "must be a JSON object");
    int64_t expand = 0, multiple = 1;
    const char *type = NULL;
    quamba_status status = refuse_variants(json, err);
    if (status == QUAMBA_OK) status = qm_json_string(json, "model_type", &type, err);
    if (status == QUAMBA_OK && type) status = parse_layer_kind(config, type, err);
    if (status == QUAMBA_OK) status = parse_numbers(config, json, err);
    if (status == QUAMBA_OK)
        status = qm_json_bool(json, "tie_embeddings", &config->tie_embeddings, err);
    if (status == QUAMBA_OK)
        status = qm_json_bool(json, "tie_word_embeddings", &config->tie_embeddings, err);
    if (status == QUAMBA_OK)
        status = qm_json_number(json, "layer_norm_epsilon", &config->norm_eps, err);
    if (status == QUAMBA_OK && !(config->norm_eps > 0 && config->norm_eps < 1))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"layer_norm_epsilon\" is %g, must be in 0 .. 1",
                       config->norm_eps);
    if (status == QUAMBA_OK) status = qm_json_int(json, "expand", 1, 1024, &expand, err);
    if (status == QUAMBA_OK)
        status = qm_json_int(json, "pad_vocab_size_multiple", 1, 1 << 20, &multiple, err);

    const json_t *ssm = json_object_get(json, "ssm_cfg"); /* arguments of the mixer */
    if (status == QUAMBA_OK && json_is_object(ssm)) {
        const char *layer = NULL;
        status = qm_json_string(ssm, "layer", &layer, err);
        if (status == QUAMBA_OK && layer) status = parse_layer_kind(config, layer, err);
        if (status == QUAMBA_OK) status = parse_numbers(config, ssm, err);
        if (status == QUAMBA_OK) status = qm_json_int(ssm, "expand", 1, 1024, &expand, err);
    }
    if (status != QUAMBA_OK) return status;
    if (config->d_inner == 0 && config->d_model != 0 && expand != 0)
        config->d_inner = (int32_t)(config->d_model * expand);
    if (config->n_vocab != 0)
        config->n_vocab = (int32_t)((config->n_vocab + multiple - 1) / multiple * multiple);
    return QUAMBA_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

const qm_tensor *qm_config_embedding(const qm_source *source)
{
    const qm_tensor *tensor = qm_source_find(source, "backbone.embedding.weight");
    return tensor ? tensor : qm_source_find(source, "backbone.embeddings.weight");
}

/* The dimensions of a tensor that must exist: ndim of them, each in range. */
static quamba_status dims_of(const qm_source *source, const char *name, int32_t ndim,
                             int32_t dims[3], quamba_error *err)
{
    const qm_tensor *tensor = qm_source_find(source, name);
    if (!tensor) return qm_fail(err, QUAMBA_E_FORMAT, 0, "tensor %s is missing", name);
    char shown[192];
    if (tensor->ndim != ndim)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must have %" PRId32 " dimensions",
                       name, qm_tensor_describe(tensor, shown), ndim);
    for (int32_t i = 0; i < ndim; i++) {
        if (tensor->shape[i] < 1 || tensor->shape[i] > MAX_VOCAB)
            return qm_fail(err, QUAMBA_E_FORMAT, 0, "tensor %s is %s: a dimension is out of range",
                           name, qm_tensor_describe(tensor, shown));
        dims[i] = (int32_t)tensor->shape[i];
    }
    return QUAMBA_OK;
}

/* Whether a head repeats the embedding: one storage, or a copy of it.  A copy is looked at here and
 * there only, since reading it whole would double the memory a tied model uses. */
static bool same_rows(const qm_tensor *head, const qm_tensor *embedding)
{
    enum { EVERY = 61 };
    if (head->ndim != 2 || head->dtype == QM_I8 || head->dtype != embedding->dtype ||
        head->shape[0] != embedding->shape[0] || head->shape[1] != embedding->shape[1] ||
        !qm_tensor_is_contiguous(head) || !qm_tensor_is_contiguous(embedding))
        return false;
    if (head->data == embedding->data) return true;
    size_t row = (size_t)head->shape[1] * qm_dtype_size(head->dtype);
    const char *a = head->data, *b = embedding->data;
    for (int64_t i = 0; i < head->shape[0]; i += EVERY)
        if (memcmp(a + (size_t)i * row, b + (size_t)i * row, row) != 0) return false;
    return true;
}

#define MIXER "backbone.layers.0.mixer."
/* The scheme of layer 0, by its in_proj; the binder holds every other module against it. */
static qm_scheme find_scheme(const qm_source *source)
{
    const qm_tensor *in_proj = qm_source_find(source, MIXER "in_proj.weight");
    if (in_proj && in_proj->dtype == QM_I32)
        return qm_source_find(source, MIXER "in_proj.s_group") ? QM_W4A8 : QM_W4A16;
    if ((in_proj && in_proj->dtype == QM_I8) ||
        qm_source_find(source, MIXER "selective_scan.A_log"))
        return QM_W8A8;
    return QM_FLOAT;
}

const char *qm_config_kind(const qm_config *config)
{
    static const char *const kinds[2][4] = {
        {"mamba1", "mamba1 w8a8", "mamba1 w4a8", "mamba1 w4a16"},
        {"mamba2", "mamba2 w8a8", "mamba2 w4a8", "mamba2 w4a16"},
    };
    return kinds[config->mamba_version == 2][config->scheme];
}

bool qm_tensor_is_packed(const qm_tensor *t)
{
    return t->dtype == QM_I8 && t->ndim == 4 && t->shape[2] == QM_PACK_OUTPUTS &&
           t->shape[3] == QM_PACK_TERMS;
}

/* The one size that packed matrices, rounded up to whole groups, do not tell. */
static quamba_status read_rank(qm_config *config, const qm_source *source, quamba_error *err)
{
    const char *text =
        json_string_value(json_object_get(qm_source_metadata(source), QM_PACKED_DT_RANK));
    char *end = NULL;
    const long rank = text && *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
    if (rank < 1 || rank > MAX_DIM || *end != '\0')
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "its matrices are packed, and \"" QM_PACKED_DT_RANK
                       "\" in its __metadata__ is %s%.60s%s, must be a number of 1 to %d",
                       text ? "\"" : "", text ? text : "missing", text ? "\"" : "", (int)MAX_DIM);
    config->dt_rank = (int32_t)rank;
    return QUAMBA_OK;
}

/* The sizes of the mixer of layer 0. */
static quamba_status infer_mixer(qm_config *config, const qm_source *source, quamba_error *err)
{
    const bool int8 = config->scheme == QM_W8A8;
    int32_t dims[3] = {0};
    quamba_status status =
        dims_of(source, int8 ? MIXER "selective_scan.A_log" : MIXER "A_log", 2, dims, err);
    config->d_inner = dims[0];
    config->d_state = dims[1];
    if (status == QUAMBA_OK)
        status = dims_of(source, MIXER "conv1d.weight", int8 ? 2 : 3, dims, err);
    config->d_conv = dims[int8 ? 1 : 2];
    const qm_tensor *dt_proj = qm_source_find(source, MIXER "dt_proj.weight");
    if (status == QUAMBA_OK && dt_proj && qm_tensor_is_packed(dt_proj))
        return read_rank(config, source, err);
    if (status == QUAMBA_OK) status = dims_of(source, MIXER "dt_proj.weight", 2, dims, err);
    config->dt_rank = dims[int8 ? 0 : 1]; /* INT8 matrices are [in, out] */
    return status;
}

quamba_status qm_config_infer(qm_config *config, const qm_source *source, quamba_error *err)
{
    int32_t dims[3] = {0};
    *config = (qm_config){.mamba_version = 1, .norm_eps = 1e-5};
    const qm_tensor *embedding = qm_config_embedding(source);
    if (!embedding)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "tensor backbone.embedding.weight is missing: this is not a Mamba "
                       "language model");
    quamba_status status = dims_of(source, embedding->name, 2, dims, err);
    if (status != QUAMBA_OK) return status;
    config->n_vocab = dims[0];
    config->d_model = dims[1];
    const qm_tensor *head = qm_source_find(source, "lm_head.weight");
    config->tie_embeddings = !head || same_rows(head, embedding);
    for (; config->n_layer < MAX_LAYERS; config->n_layer++) {
        char name[64];
        snprintf(name, sizeof name, "backbone.layers.%" PRId32 ".norm.weight", config->n_layer);
        if (!qm_source_find(source, name)) break;
    }
    if (config->n_layer == 0)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "tensor backbone.layers.0.norm.weight is missing");

    config->scheme = find_scheme(source);
    config->quantized = config->scheme != QM_FLOAT;
    if (qm_source_find(source, MIXER "dt_bias") ||
        qm_source_find(source, MIXER "qchunk_scan.A_log"))
        config->mamba_version = 2;
    bool known = config->mamba_version == 1 && config->scheme <= QM_W8A8;
    return known ? infer_mixer(config, source, err) : QUAMBA_OK;
}

#undef MIXER

quamba_status qm_config_of(qm_config *config, const qm_source *source, quamba_error *err)
{
    quamba_status status = qm_config_infer(config, source, err);
    if (status != QUAMBA_OK) return status;
    const json_t *json = qm_source_config(source);
    if (!json) return QUAMBA_OK;
    qm_config said;
    status = qm_config_parse(&said, json, err);
    if (status == QUAMBA_OK && said.n_layer > config->n_layer)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "tensor backbone.layers.%" PRId32 ".norm.weight is missing, but config.json "
                       "comes to \"n_layer\" %" PRId32,
                       config->n_layer, said.n_layer);
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(fields); i++) {
        int32_t told = *field_of(&said, &fields[i]), seen = *field_of(config, &fields[i]);
        if (told != 0 && seen != 0 && told != seen)
            status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                             "\"%s\" comes to %" PRId32 ", but the tensors say %" PRId32,
                             fields[i].names[0], told, seen);
    }
    if (status == QUAMBA_OK && said.mamba_version != config->mamba_version)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "it describes Mamba-%" PRId32 ", but the tensors are of Mamba-%" PRId32,
                         said.mamba_version, config->mamba_version);
    if (status == QUAMBA_OK && said.quantized && !config->quantized)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "it names a quantized mixer, but the tensors are floating point");
    if (status == QUAMBA_OK && !said.tie_embeddings && !qm_source_find(source, "lm_head.weight"))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "\"tie_embeddings\" is false, but tensor lm_head.weight is missing");
    if (status == QUAMBA_OK && !config->tie_embeddings && said.tie_embeddings && !config->quantized)
        status =
            qm_fail(err, QUAMBA_E_FORMAT, 0,
                    "\"tie_embeddings\" is true, said or by default, but tensor lm_head.weight "
                    "is not the embedding");
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "config.json");
    config->norm_eps = said.norm_eps;
    if (!config->quantized) config->tie_embeddings = said.tie_embeddings;
    return QUAMBA_OK;
}
