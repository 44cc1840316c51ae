#include "base/json.h"

#include "base/file.h"

#include <inttypes.h>

static quamba_status parse(json_t **value, const char *data, size_t size, size_t flags,
                           quamba_error *err)
{
    json_error_t why;
    *value =
        json_loadb(data ? data : "", size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, &why);
    if (*value) return QUAMBA_OK;
    /* jansson fills nothing in when it has no memory for its very first buffer. */
    bool memory = json_error_code(&why) == json_error_out_of_memory || why.text[0] == '\0';
    if (memory) return qm_fail_memory(err, size, "JSON");
    return qm_fail(err, QUAMBA_E_FORMAT, why.position > 0 ? (uint64_t)why.position : 0,
                   "not valid JSON at line %d column %d: %s", why.line, why.column, why.text);
}

quamba_status qm_json_parse(json_t **value, const char *data, size_t size, quamba_error *err)
{
    return parse(value, data, size, 0, err);
}

quamba_status qm_json_parse_text(json_t **value, const char *data, size_t size, quamba_error *err)
{
    return parse(value, data, size, JSON_ALLOW_NUL, err);
}

quamba_status qm_json_load(json_t **value, const char *path, quamba_error *err)
{
    qm_map map;
    *value = NULL;
    quamba_status status = qm_map_open(&map, path, err);
    if (status != QUAMBA_OK) return status;
    status = qm_json_parse(value, (const char *)map.data, map.size, err);
    qm_map_close(&map);
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, path);
}

/* The member when there is one to read; *absent otherwise. */
static const json_t *member(const json_t *object, const char *key, bool *absent)
{
    const json_t *value = json_object_get(object, key);
    *absent = !value || json_is_null(value);
    return value;
}

static quamba_status fail_type(quamba_error *err, const char *key, const char *wanted)
{
    return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%s\" must be %s", key, wanted);
}

quamba_status qm_json_int(const json_t *object, const char *key, int64_t low, int64_t high,
                          int64_t *out, quamba_error *err)
{
    bool absent;
    const json_t *value = member(object, key, &absent);
    if (absent) return QUAMBA_OK;
    if (!json_is_integer(value)) return fail_type(err, key, "a whole number");
    int64_t number = json_integer_value(value);
    if (number < low || number > high)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"%s\" is %" PRId64 ", must be in %" PRId64 " .. %" PRId64, key, number,
                       low, high);
    *out = number;
    return QUAMBA_OK;
}

quamba_status qm_json_number(const json_t *object, const char *key, double *out, quamba_error *err)
{
    bool absent;
    const json_t *value = member(object, key, &absent);
    if (absent) return QUAMBA_OK;
    if (!json_is_number(value)) return fail_type(err, key, "a number");
    *out = json_number_value(value);
    return QUAMBA_OK;
}

quamba_status qm_json_bool(const json_t *object, const char *key, bool *out, quamba_error *err)
{
    bool absent;
    const json_t *value = member(object, key, &absent);
    if (absent) return QUAMBA_OK;
    if (!json_is_boolean(value)) return fail_type(err, key, "true or false");
    *out = json_is_true(value);
    return QUAMBA_OK;
}

quamba_status qm_json_string(const json_t *object, const char *key, const char **out,
                             quamba_error *err)
{
    bool absent;
    const json_t *value = member(object, key, &absent);
    if (absent) return QUAMBA_OK;
    if (!json_is_string(value)) return fail_type(err, key, "a string");
    *out = json_string_value(value);
    return QUAMBA_OK;
}
