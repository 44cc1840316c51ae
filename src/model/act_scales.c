#include "model/act_scales.h"

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 10000 };

typedef struct scale_key {
    const char *name;
    bool needed;
} scale_key;

#define KEY(id, key, needed) {key, needed},
static const scale_key layer_keys[] = {QM_LAYER_SCALE_LIST(KEY)};
static const scale_key head_keys[] = {QM_HEAD_SCALE_LIST(KEY)};
#undef KEY

/* Number index of the list: the scales of a layer or, behind the last, of the head. */
typedef struct scale_group {
    const scale_key *keys;
    size_t n;
    float *values;
    char name[32]; /* for messages */
} scale_group;

static scale_group group_at(const qm_act_scales *s, int32_t index)
{
    scale_group g = {layer_keys, QM_COUNT(layer_keys), NULL, "the head"};
    if (index < s->n_layer) {
        g.values = s->layers[index];
        snprintf(g.name, sizeof g.name, "layer %" PRId32, index);
    } else {
        g.keys = head_keys;
        g.n = QM_COUNT(head_keys);
        g.values = (float *)(uintptr_t)s->head;
    }
    return g;
}

quamba_status qm_act_scales_new(qm_act_scales *scales, int32_t n_layer, quamba_error *err)
{
    *scales = (qm_act_scales){.n_layer = n_layer};
    scales->layers = qm_alloc((size_t)n_layer, sizeof *scales->layers);
    if (!scales->layers)
        return qm_fail_memory(err, (uint64_t)n_layer * sizeof *scales->layers, "the scales");
    for (int32_t i = 0; i <= n_layer; i++) {
        scale_group g = group_at(scales, i);
        for (size_t k = 0; k < g.n; k++)
            g.values[k] = NAN;
    }
    return QUAMBA_OK;
}

void qm_act_scales_free(qm_act_scales *scales)
{
    free(scales->layers);
    *scales = (qm_act_scales){0};
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Eight hexadecimal digits, the lowest byte first; false when they are something else. */
static bool parse_bytes(const char *text, uint32_t *bits)
{
    static const char digits[] = "0123456789abcdef";
    *bits = 0;
    if (strlen(text) != 8) return false;
    for (unsigned i = 0; i < 8; i++) {
        const char *digit = strchr(digits, text[i]);
        if (!digit) return false;
        *bits |= (uint32_t)(digit - digits) << (i / 2 * 8 + (i % 2 ? 0 : 4));
    }
    return true;
}

/* {"value": 0.25, "f32": "0000803e"} */
static quamba_status parse_scale(float *out, const json_t *json, quamba_error *err)
{
    double value = (double)NAN;
    const char *bytes = NULL;
    uint32_t bits;
    if (!json_is_object(json))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "must be an object with \"value\" and \"f32\"");
    quamba_status status = qm_json_number(json, "value", &value, err);
    if (status == QUAMBA_OK) status = qm_json_string(json, "f32", &bytes, err);
    if (status != QUAMBA_OK) return status;
    if (isnan(value)) return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"value\" is missing");
    float scale = (float)value;
    if (!(scale > 0.0f) || isinf(scale))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "the scale is %.17g, must be positive and finite",
                       value);
    if (bytes && (!parse_bytes(bytes, &bits) || bits != qm_bits_f32(scale)))
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"value\" is %.17g, but \"f32\" is \"%.20s\": other bytes", value, bytes);
    *out = scale;
    return QUAMBA_OK;
}

static quamba_status parse_group(const scale_group *g, const json_t *json, quamba_error *err)
{
    const char *name;
    const json_t *entry;
    if (!json_is_object(json))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "%s: must be an object", g->name);
    json_object_foreach((json_t *)(uintptr_t)json, name, entry)
    {
        size_t k = 0;
        while (k < g->n && strcmp(g->keys[k].name, name) != 0)
            k++;
        if (k == g->n)
            return qm_fail(err, QUAMBA_E_FORMAT, 0, "%s: \"%.60s\" is no scale of it", g->name,
                           name);
        quamba_status status = parse_scale(&g->values[k], entry, err);
        if (status == QUAMBA_OK) continue;
        qm_fail_in(err, status, name);
        return qm_fail_in(err, status, g->name);
    }
    return QUAMBA_OK;
}

static quamba_status parse_list(qm_act_scales *scales, const json_t *json, quamba_error *err)
{
    size_t n = json_array_size(json);
    if (!json_is_array(json) || n < 2 || n > MAX_LAYERS + 1)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "must be a list of one object per layer (at most %d) and one for the head",
                       MAX_LAYERS);
    quamba_status status = qm_act_scales_new(scales, (int32_t)n - 1, err);
    for (size_t i = 0; status == QUAMBA_OK && i < n; i++) {
        scale_group g = group_at(scales, (int32_t)i);
        status = parse_group(&g, json_array_get(json, i), err);
    }
    return status == QUAMBA_OK ? qm_act_scales_check(scales, err) : status;
}

quamba_status qm_act_scales_parse(qm_act_scales *scales, const char *data, size_t size,
                                  quamba_error *err)
{
    json_t *json = NULL;
    *scales = (qm_act_scales){0};
    quamba_status status = qm_json_parse(&json, data, size, err);
    if (status == QUAMBA_OK) status = parse_list(scales, json, err);
    if (status != QUAMBA_OK) qm_act_scales_free(scales);
    json_decref(json);
    return status;
}

quamba_status qm_act_scales_load(qm_act_scales *scales, const char *path, quamba_error *err)
{
    qm_map map = {0};
    *scales = (qm_act_scales){0};
    quamba_status status = qm_map_open(&map, path, err);
    if (status != QUAMBA_OK) return status;
    status = qm_act_scales_parse(scales, (const char *)map.data, map.size, err);
    qm_map_close(&map);
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, path);
}

quamba_status qm_act_scales_check(const qm_act_scales *scales, quamba_error *err)
{
    for (int32_t i = 0; i <= scales->n_layer; i++) {
        scale_group g = group_at(scales, i);
        for (size_t k = 0; k < g.n; k++)
            if (g.keys[k].needed && isnan(g.values[k]))
                return qm_fail(err, QUAMBA_E_FORMAT, 0, "%s: \"%s\" is missing", g.name,
                               g.keys[k].name);
    }
    return QUAMBA_OK;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static json_t *group_json(const scale_group *g)
{
    json_t *object = json_object();
    for (size_t k = 0; k < g->n; k++) {
        uint32_t bits = qm_bits_f32(g->values[k]);
        char bytes[9];
        if (isnan(g->values[k])) continue;
        snprintf(bytes, sizeof bytes, "%08" PRIx32, __builtin_bswap32(bits));
        json_t *scale = json_pack("{s:f, s:s}", "value", (double)g->values[k], "f32", bytes);
        if (json_object_set_new(object, g->keys[k].name, scale) == 0) continue;
        json_decref(object);
        return NULL;
    }
    return object;
}

quamba_status qm_act_scales_write(const qm_act_scales *scales, const char *path, quamba_error *err)
{
    json_t *list = json_array();
    bool failed = !list;
    for (int32_t i = 0; !failed && i <= scales->n_layer; i++) {
        scale_group g = group_at(scales, i);
        failed = json_array_append_new(list, group_json(&g)) != 0;
    }
    char *text = failed ? NULL : json_dumps(list, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(list);
    quamba_status status = text ? qm_file_write(path, text, strlen(text), err)
                                : qm_fail_memory(err, (uint64_t)scales->n_layer, "the scales");
    free(text);
    return status;
}
