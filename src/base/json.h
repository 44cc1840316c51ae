/* JSON by jansson, with errors that name the key. */
#ifndef QM_BASE_JSON_H
#define QM_BASE_JSON_H

#include "base/status.h"

#include <jansson.h>

/* Parses size bytes as one JSON value; duplicate keys are refused.  *value is owned by the caller
 * (json_decref).  The error gives line and column. */
quamba_status qm_json_parse(json_t **value, const char *data, size_t size, quamba_error *err);

/* The same where strings are text and may hold the character U+0000 (else refused): the caller uses
 * json_string_length and never strlen. */
quamba_status qm_json_parse_text(json_t **value, const char *data, size_t size, quamba_error *err);

/* Parses a whole file; the error begins with its path. */
quamba_status qm_json_load(json_t **value, const char *path, quamba_error *err);

/* Members of an object.  Absent (or null) members leave *out as it was and succeed, so the caller
 * sets defaults first; members of another type or out of [low, high] are E_FORMAT. */
quamba_status qm_json_int(const json_t *object, const char *key, int64_t low, int64_t high,
                          int64_t *out, quamba_error *err);
quamba_status qm_json_number(const json_t *object, const char *key, double *out, quamba_error *err);
quamba_status qm_json_bool(const json_t *object, const char *key, bool *out, quamba_error *err);
/* *out is borrowed from the object. */
quamba_status qm_json_string(const json_t *object, const char *key, const char **out,
                             quamba_error *err);

#endif
