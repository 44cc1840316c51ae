#include "trace/manifest.h"

#include "base/half.h"
#include "datapath/datapath.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Adds a member; *good turns false without memory. */
static void put(json_t *object, const char *key, json_t *value, bool *good)
{
    if (json_object_set_new(object, key, value) != 0) *good = false;
}

static void append(json_t *list, json_t *value, bool *good)
{
    if (json_array_append_new(list, value) != 0) *good = false;
}

static json_t *list_words(const char *words, bool *good)
{
    json_t *list = json_array();
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        append(list, json_stringn(words, n), good);
    }
    return list;
}

static json_t *bits_of(float x)
{
    char text[16];
    snprintf(text, sizeof text, "0x%08" PRIx32, qm_bits_f32(x));
    return json_string(text);
}

/* "layer": a number, "head", or null. */
static json_t *layer_json(const qm_trace_layout *lay, int32_t layer)
{
    if (layer < 0) return json_null();
    return layer == lay->plan->model->config.n_layer ? json_string("head") : json_integer(layer);
}

static void add_facts(json_t *out, const qm_trace_layout *lay, const qm_trace_tensor *t, bool *good)
{
    qm_trace_facts facts;
    qm_trace_describe(&facts, &lay->setting, t->layer, (qm_trace_edge)t->edge);
    if (facts.dtype == QM_I8 && facts.scale > 0.0f) {
        put(out, "scale", json_real((double)facts.scale), good);
        put(out, "scale_bits", bits_of(facts.scale), good);
    } else if (facts.dtype == QM_I8) {
        put(out, "scale", json_string("conv_in_scale"), good);
    }
    put(out, "formula", json_string(facts.formula), good);
    if (facts.in_steps[0] != '\0') put(out, "formula_in_steps", json_string(facts.in_steps), good);
    put(out, "inputs", list_words(facts.inputs, good), good);
}

static json_t *tensor_json(const qm_trace_layout *lay, const qm_trace_tensor *t, bool *good)
{
    const bool hex = t->code.format == QM_TRACE_HEX || t->code.format == QM_TRACE_MEM;
    json_t *shape = json_array(), *axes = json_array();
    for (int32_t i = 0; i < t->ndim; i++) {
        append(shape, json_integer((json_int_t)t->shape[i]), good);
        append(axes, json_string(t->axes[i]), good);
    }
    json_t *out = json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:s}", "name", t->name, "kind",
                            t->edge >= 0    ? "edge"
                            : t->layer >= 0 ? "parameter"
                                            : "input",
                            "layer", layer_json(lay, t->layer), "meaning", t->meaning, "shape",
                            shape, "axes", axes, "type", qm_dtype_name(t->code.dtype));
    if (hex) {
        put(out, "word_bits", json_integer(t->code.bits), good);
        put(out, "lanes", json_integer(t->code.lanes), good);
    }
    if (t->edge >= 0) add_facts(out, lay, t, good);
    if (t->edge < 0 && !t->data) {
        put(out, "value", json_real((double)t->value), good);
        put(out, "value_bits", bits_of(t->value), good);
    }
    put(out, "file", json_string(lay->files[t->file].name), good);
    put(out, "offset", json_integer((json_int_t)t->offset), good);
    put(out, "bytes", json_integer((json_int_t)(t->n_rows * qm_trace_row_bytes(&t->code))), good);
    return out;
}

/* Edges that were asked for and that the mode does not have, and why. */
static json_t *absent_json(const qm_trace_layout *lay, bool *good)
{
    json_t *list = json_array();
    const int32_t n_layer = lay->plan->model->config.n_layer;
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++) {
        const qm_trace_edge edge = (qm_trace_edge)i;
        qm_trace_facts facts;
        qm_trace_describe(&facts, &lay->setting, qm_trace_edge_is_head(edge) ? n_layer : 0, edge);
        if (!lay->plan->edges[i] || !facts.absent) continue;
        append(list, json_pack("{s:s, s:s}", "edge", qm_trace_edge_name(edge), "why", facts.absent),
               good);
    }
    return list;
}

static json_t *model_json(const qm_trace_plan *plan)
{
    const qm_config *c = &plan->model->config;
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "hash", plan->model_hash,
                     "n_layer", (int)c->n_layer, "d_model", (int)c->d_model, "d_inner",
                     (int)c->d_inner, "d_state", (int)c->d_state, "d_conv", (int)c->d_conv,
                     "dt_rank", (int)c->dt_rank, "n_vocab", (int)c->n_vocab);
}

static json_t *mode_json(const quamba_datapath *dp)
{
    char knobs[400];
    quamba_datapath_describe(dp, knobs, sizeof knobs);
    const quamba_datapath *row = dp->base ? dp->base : dp;
    while (row->base)
        row = row->base;
    return json_pack("{s:s, s:s, s:s}", "id", dp->id, "row", row->id, "datapath",
                     dp->quantized ? knobs : "");
}

static json_t *tokens_json(const qm_trace_plan *plan, bool *good)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < plan->n_tokens; i++)
        append(ids, json_integer(plan->tokens[i]), good);
    return json_pack("{s:I, s:I, s:I, s:o}", "first", (json_int_t)plan->first, "end",
                     (json_int_t)plan->n_tokens, "n_prefill", (json_int_t)plan->n_prefill, "ids",
                     ids);
}

json_t *qm_trace_manifest_make(const qm_trace_layout *lay)
{
    const qm_trace_plan *plan = lay->plan;
    json_t *out = json_object(), *layers = json_array(), *edges = json_array();
    json_t *tensors = json_array();
    bool good = true;
    for (int32_t i = 0; i <= plan->model->config.n_layer; i++)
        if (plan->layers[i]) append(layers, layer_json(lay, i), &good);
    for (int32_t i = 0; i < QM_N_TRACE_EDGES; i++)
        if (plan->edges[i]) append(edges, json_string(qm_trace_edge_name((qm_trace_edge)i)), &good);
    for (size_t i = 0; i < lay->n_tensors; i++)
        append(tensors, tensor_json(lay, &lay->tensors[i], &good), &good);
    put(out, "version", json_integer(QM_TRACE_MANIFEST_VERSION), &good);
    put(out, "program", json_string("quamba " QUAMBA_VERSION), &good);
    put(out, "model", model_json(plan), &good);
    put(out, "mode", mode_json(plan->model->datapath), &good);
    put(out, "tokens", tokens_json(plan, &good), &good);
    put(out, "layers", layers, &good);
    put(out, "edges", edges, &good);
    put(out, "parameters", json_boolean(plan->parameters), &good);
    put(out, "format", json_string(qm_trace_format_name(plan->format)), &good);
    put(out, "word_bits", json_integer(plan->word_bits), &good);
    put(out, "lanes", json_integer(plan->lanes), &good);
    put(out, "absent", absent_json(lay, &good), &good);
    put(out, "tensors", tensors, &good);
    if (good) return out;
    json_decref(out);
    return NULL;
}

bool qm_trace_manifest_set_sum(json_t *manifest, const char *file, const char *sha256)
{
    size_t i;
    json_t *one;
    bool good = true;
    json_array_foreach(json_object_get(manifest, "tensors"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "file")), file) != 0) continue;
        good = json_object_set_new(one, "sha256", json_string(sha256)) == 0 && good;
    }
    return good;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static quamba_status wrong(quamba_error *err, const char *member, const char *why)
{
    return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" %s", member, why);
}

static quamba_status need_string(const json_t *object, const char *key, const char **out,
                                 quamba_error *err)
{
    *out = NULL;
    quamba_status status = qm_json_string(object, key, out, err);
    return status == QUAMBA_OK && !*out ? wrong(err, key, "is missing") : status;
}

static quamba_status need_int(const json_t *object, const char *key, int64_t low, int64_t high,
                              int64_t *out, quamba_error *err)
{
    if (!json_object_get(object, key)) return wrong(err, key, "is missing");
    return qm_json_int(object, key, low, high, out, err);
}

static quamba_status parse_tokens(qm_trace_request *r, quamba_error *err)
{
    const json_t *tokens = json_object_get(r->json, "tokens");
    const json_t *ids = json_object_get(tokens, "ids"), *id;
    int64_t first = 0, n_prefill = 0, end = 0;
    size_t i;
    if (!json_is_array(ids)) return wrong(err, "tokens", "has no list of ids");
    const size_t n = json_array_size(ids);
    if (n < 1 || n > QM_TRACE_MAX_TOKENS)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"tokens\" has %zu ids, must be 1 .. %d", n,
                       QM_TRACE_MAX_TOKENS);
    quamba_status status = need_int(tokens, "first", 0, (int64_t)n - 1, &first, err);
    if (status == QUAMBA_OK) status = need_int(tokens, "end", (int64_t)n, (int64_t)n, &end, err);
    if (status == QUAMBA_OK) status = need_int(tokens, "n_prefill", 0, (int64_t)n, &n_prefill, err);
    if (status != QUAMBA_OK) return status;
    r->n_tokens = n;
    r->n_prefill = (size_t)n_prefill;
    r->first = (size_t)first;
    r->tokens = qm_alloc(n, sizeof *r->tokens);
    if (!r->tokens) return qm_fail_memory(err, n * sizeof *r->tokens, "the tokens");
    json_array_foreach(ids, i, id)
    {
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < 0 || value > INT32_MAX)
            return qm_fail(err, QUAMBA_E_FORMAT, i, "\"tokens\": id %zu is none", i);
        r->tokens[i] = (int32_t)value;
    }
    return QUAMBA_OK;
}

static quamba_status parse_layers(qm_trace_request *r, quamba_error *err)
{
    const json_t *layers = json_object_get(r->json, "layers"), *one;
    int64_t n_layer = 0;
    size_t i;
    quamba_status status = need_int(json_object_get(r->json, "model"), "n_layer", 1,
                                    QM_TRACE_MAX_LAYERS, &n_layer, err);
    if (status != QUAMBA_OK) return status;
    r->n_layer = (int32_t)n_layer;
    if (!json_is_array(layers)) return wrong(err, "layers", "is no list");
    json_array_foreach(layers, i, one)
    {
        const char *text = json_string_value(one);
        const json_int_t layer =
            text && strcmp(text, "head") == 0 ? n_layer : json_integer_value(one);
        if ((!json_is_integer(one) && layer != n_layer) || layer < 0 || layer > n_layer ||
            (json_is_integer(one) && layer == n_layer) || r->layers[layer])
            return qm_fail(err, QUAMBA_E_FORMAT, i,
                           "\"layers\": entry %zu is no layer of %" PRId64 ", or one twice", i,
                           n_layer);
        r->layers[layer] = true;
    }
    return QUAMBA_OK;
}

static quamba_status parse_edges(qm_trace_request *r, quamba_error *err)
{
    const json_t *edges = json_object_get(r->json, "edges"), *one;
    size_t i;
    if (!json_is_array(edges)) return wrong(err, "edges", "is no list");
    json_array_foreach(edges, i, one)
    {
        const char *name = json_string_value(one);
        const qm_trace_edge edge = name ? qm_trace_edge_find(name) : QM_N_TRACE_EDGES;
        if (edge == QM_N_TRACE_EDGES || r->edges[edge])
            return qm_fail(err, QUAMBA_E_FORMAT, i, "\"edges\": \"%.40s\" is no edge, or one twice",
                           name ? name : "");
        r->edges[edge] = true;
    }
    return QUAMBA_OK;
}

static quamba_status parse_format(qm_trace_request *r, quamba_error *err)
{
    const char *format;
    int64_t word_bits = 0, lanes = 0;
    quamba_status status = need_string(r->json, "format", &format, err);
    if (status != QUAMBA_OK) return status;
    r->format = qm_trace_format_find(format);
    if (r->format == QM_N_TRACE_FORMATS)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"format\": \"%.40s\" is none", format);
    status = need_int(r->json, "word_bits", 0, QM_MAX_WORD_BITS, &word_bits, err);
    if (status == QUAMBA_OK) status = need_int(r->json, "lanes", 1, QM_MAX_LANES, &lanes, err);
    r->word_bits = (int32_t)word_bits;
    r->lanes = (int32_t)lanes;
    if (status == QUAMBA_OK && !json_is_boolean(json_object_get(r->json, "parameters")))
        status = wrong(err, "parameters", "is neither true nor false");
    r->parameters = json_is_true(json_object_get(r->json, "parameters"));
    return status;
}

/* Every tensor needs what names it; the rest is compared with what it must be. */
static quamba_status check_tensors(const qm_trace_request *r, quamba_error *err)
{
    const json_t *tensors = json_object_get(r->json, "tensors"), *one;
    const char *text;
    size_t i;
    quamba_status status = json_is_array(tensors) ? QUAMBA_OK : wrong(err, "tensors", "is no list");
    if (status != QUAMBA_OK) return status;
    json_array_foreach(tensors, i, one)
    {
        static const char *const keys[] = {"name", "file", "sha256"};
        for (size_t k = 0; status == QUAMBA_OK && k < QM_COUNT(keys); k++)
            status = json_is_object(one) ? need_string(one, keys[k], &text, err)
                                         : wrong(err, "tensors", "has an entry that is no object");
    }
    return status;
}

quamba_status qm_trace_request_parse(qm_trace_request *r, const char *data, size_t size,
                                     quamba_error *err)
{
    int64_t version = 0;
    *r = (qm_trace_request){0};
    quamba_status status = qm_json_parse(&r->json, data, size, err);
    if (status == QUAMBA_OK && !json_is_object(r->json))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "is no JSON object");
    if (status == QUAMBA_OK)
        status = need_int(r->json, "version", QM_TRACE_MANIFEST_VERSION, QM_TRACE_MANIFEST_VERSION,
                          &version, err);
    const json_t *mode = json_object_get(r->json, "mode");
    if (status == QUAMBA_OK)
        status = need_string(json_object_get(r->json, "model"), "hash", &r->model_hash, err);
    if (status == QUAMBA_OK) status = need_string(mode, "row", &r->mode, err);
    if (status == QUAMBA_OK) status = need_string(mode, "datapath", &r->knobs, err);
    if (status == QUAMBA_OK) status = parse_tokens(r, err);
    if (status == QUAMBA_OK) status = parse_layers(r, err);
    if (status == QUAMBA_OK) status = parse_edges(r, err);
    if (status == QUAMBA_OK) status = parse_format(r, err);
    return status == QUAMBA_OK ? check_tensors(r, err) : status;
}

void qm_trace_request_free(qm_trace_request *r)
{
    json_decref(r->json);
    free(r->tokens);
    *r = (qm_trace_request){0};
}
