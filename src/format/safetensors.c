/* safetensors: 8 bytes of little-endian header length, the header (JSON: name -> dtype, shape,
 * data_offsets, and __metadata__), then the data without a gap. */
#include "format/safetensors.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 * 1000 * 1000 }; /* the limit of the reference implementation */

typedef struct range {
    uint64_t begin, end;
    const char *name;
} range;

static uint64_t header_size(const uint8_t *data)
{
    uint64_t n = 0;
    for (int i = 8; i-- > 0;)
        n = n << 8 | data[i];
    return n;
}

bool qm_safetensors_probe(const uint8_t *data, size_t size)
{
    if (size < 8) return false;
    /* A length that is a sane number has zeros at the top; one that lies may have anything, but
     * then the header still begins with its brace.  Eight bytes of text are a JSON file. */
    bool text = true;
    for (int i = 0; i < 8; i++)
        text = text && data[i] >= 9 && data[i] < 127;
    return header_size(data) <= MAX_HEADER || (size > 8 && data[8] == '{' && !text);
}

static quamba_status check_metadata(const json_t *metadata, quamba_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "__metadata__ is not an object");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value) if (
        !json_is_string(value)) return qm_fail(err, QUAMBA_E_FORMAT, 0,
                                               "__metadata__: \"%.200s\" is not a string", key);
    return QUAMBA_OK;
}

static quamba_status read_shape(qm_tensor *tensor, const json_t *shape, uint64_t *bytes,
                                quamba_error *err)
{
    int64_t dims[QM_MAX_DIMS];
    size_t n = json_array_size(shape); /* 0 when it is no array */
    if (!json_is_array(shape)) return qm_fail(err, QUAMBA_E_FORMAT, 0, "no array \"shape\"");
    if (n > QM_MAX_DIMS)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "%zu dimensions, at most %d are supported", n,
                       QM_MAX_DIMS);
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return qm_fail(err, QUAMBA_E_FORMAT, 0, "dimension %zu is not a whole number >= 0", i);
        dims[i] = json_integer_value(dim);
    }
    if (!qm_tensor_set_shape(tensor, dims, n, bytes))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "the product of its dimensions does not fit");
    return QUAMBA_OK;
}

/* One header entry; the range's begin and end count from the start of the data. */
static quamba_status read_entry(qm_tensor *tensor, range *at, const json_t *entry,
                                uint64_t data_size, quamba_error *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!dtype) return qm_fail(err, QUAMBA_E_FORMAT, 0, "no string \"dtype\"");
    tensor->dtype = qm_dtype_find(dtype);
    if (tensor->dtype == QM_N_DTYPES)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "type \"%.40s\" is not supported", dtype);
    uint64_t bytes;
    quamba_status status = read_shape(tensor, json_object_get(entry, "shape"), &bytes, err);
    if (status != QUAMBA_OK) return status;
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "\"data_offsets\" is not a begin and an end in that order");
    at->begin = (uint64_t)json_integer_value(begin);
    at->end = (uint64_t)json_integer_value(end);
    if (at->end > data_size)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "its bytes end at %" PRIu64 " but the file has %" PRIu64
                       " bytes of data: truncated?",
                       at->end, data_size);
    if (at->end - at->begin != bytes)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "its shape needs %" PRIu64 " bytes, the file gives it %" PRIu64, bytes,
                       at->end - at->begin);
    return QUAMBA_OK;
}

static int compare_ranges(const void *left, const void *right)
{
    const range *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

/* The format allows neither overlaps nor gaps nor anything behind the last tensor. */
static quamba_status check_ranges(range *ranges, size_t n, uint64_t data_size, quamba_error *err)
{
    uint64_t at = 0;
    qsort(ranges, n, sizeof *ranges, compare_ranges);
    for (size_t i = 0; i < n; at = ranges[i++].end)
        if (ranges[i].begin != at)
            return qm_fail(err, QUAMBA_E_FORMAT, ranges[i].begin,
                           "tensor \"%.200s\" begins at byte %" PRIu64 " of the data, %s %" PRIu64,
                           ranges[i].name, ranges[i].begin,
                           ranges[i].begin < at ? "inside another tensor that ends at"
                                                : "leaving a gap after",
                           at);
    if (at != data_size)
        return qm_fail(err, QUAMBA_E_FORMAT, at, "%" PRIu64 " bytes behind the last tensor",
                       data_size - at);
    return QUAMBA_OK;
}

static quamba_status read_header(qm_source *source, range *ranges, json_t *header,
                                 const uint8_t *data, uint64_t data_size, quamba_error *err)
{
    size_t n = 0;
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        quamba_status status;
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(entry, err);
            if (status != QUAMBA_OK) return status;
            if (!source->metadata) source->metadata = json_incref(entry);
            continue;
        }
        qm_tensor tensor = {0};
        status = read_entry(&tensor, &ranges[n], entry, data_size, err);
        if (status != QUAMBA_OK) {
            qm_fail_in(err, status, name);
            return qm_fail_in(err, status, "tensor");
        }
        ranges[n].name = name;
        if (ranges[n].end > ranges[n].begin) tensor.data = data + ranges[n].begin;
        n++;
        status = qm_source_add(source, name, strlen(name), &tensor, err);
        if (status != QUAMBA_OK) return status;
    }
    return check_ranges(ranges, n, data_size, err);
}

/* The names in one of our metadata entries as the keys of an object; NULL when there are none or
 * another program put something else there. */
static json_t *named_in(const json_t *metadata, const char *key)
{
    const json_t *text = json_object_get(metadata, key);
    json_t *names = NULL, *set = NULL, *name;
    size_t i;
    if (text &&
        qm_json_parse(&names, json_string_value(text), json_string_length(text), NULL) == QUAMBA_OK)
        set = json_object();
    json_array_foreach(names, i, name) if (json_is_string(name))
        json_object_set(set, json_string_value(name), name);
    json_decref(names);
    return set;
}

/* Marks what the metadata say of the tensors from number first on. */
static void apply_hints(qm_source *source, size_t first, const json_t *metadata)
{
    json_t *floats = named_in(metadata, QM_SAFETENSORS_FLOATS);
    json_t *columns = named_in(metadata, QM_SAFETENSORS_COLUMNS);
    for (size_t i = first; i < source->n_tensors; i++) {
        qm_tensor *t = &source->tensors[i];
        t->python_float = t->ndim == 0 && t->dtype == QM_F32 && json_object_get(floats, t->name);
        t->column_major = t->ndim == 2 && json_object_get(columns, t->name);
    }
    json_decref(floats);
    json_decref(columns);
}

quamba_status qm_safetensors_read(qm_source *source, const uint8_t *data, size_t size,
                                  quamba_error *err)
{
    uint64_t n_header = header_size(data); /* the probe saw 8 bytes */
    if (n_header > MAX_HEADER || n_header > size - 8)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "the header is said to have %" PRIu64 " bytes, %s: truncated or no "
                       "safetensors file?",
                       n_header,
                       n_header > MAX_HEADER ? "more than the 100 MB allowed"
                                             : "more than the file");
    json_t *header = NULL;
    quamba_status status = qm_json_parse(&header, (const char *)data + 8, (size_t)n_header, err);
    if (status != QUAMBA_OK) return qm_fail_in(err, status, "header");
    range *ranges = NULL;
    if (!json_is_object(header))
        status = qm_fail(err, QUAMBA_E_FORMAT, 8, "the header is not a JSON object");
    if (status == QUAMBA_OK) {
        ranges = qm_alloc(json_object_size(header), sizeof *ranges);
        if (!ranges)
            status = qm_fail_memory(err, json_object_size(header) * sizeof *ranges, "the header");
    }
    size_t first = source->n_tensors;
    if (status == QUAMBA_OK)
        status = read_header(source, ranges, header, data + 8 + n_header, size - 8 - n_header, err);
    if (status == QUAMBA_OK) apply_hints(source, first, json_object_get(header, "__metadata__"));
    free(ranges);
    json_decref(header);
    return status;
}
