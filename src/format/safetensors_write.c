#include "base/file.h"
#include "base/mem.h"
#include "format/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

typedef struct place {
    uint64_t alignment; /* the largest power of two in the tensor's size, at most ALIGNMENT */
    size_t index;
    uint64_t begin, end;
} place;

static int compare_places(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->alignment != b->alignment) return a->alignment > b->alignment ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Falling alignment: every tensor begins at a multiple of its own, as all sizes before it are. */
static quamba_status arrange(place *places, const qm_tensor *tensors, size_t n, quamba_error *err)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes = qm_tensor_bytes(&tensors[i]) | ALIGNMENT;
        places[i] = (place){.alignment = bytes & -bytes, .index = i};
    }
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; i < n; i++) {
        places[i].begin = at;
        if (!qm_add_u64(at, qm_tensor_bytes(&tensors[places[i].index]), &at) || at > INT64_MAX)
            return qm_fail(err, QUAMBA_E_LIMIT, 0, "the tensors together have too many bytes");
        places[i].end = at;
    }
    return QUAMBA_OK;
}

/* The names of the tensors that have a property, as the text of a JSON array; *text stays NULL
 * when there are none. */
static quamba_status list_names(char **text, const qm_tensor *tensors, size_t n,
                                bool has(const qm_tensor *), quamba_error *err)
{
    json_t *names = json_array();
    bool failed = !names;
    for (size_t i = 0; i < n && !failed; i++)
        if (has(&tensors[i]))
            failed = json_array_append_new(names, json_string(tensors[i].name)) != 0;
    if (!failed && json_array_size(names) > 0) {
        *text = json_dumps(names, JSON_COMPACT);
        failed = !*text;
    }
    json_decref(names);
    return failed ? qm_fail_memory(err, n, "the header") : QUAMBA_OK;
}

static bool has_python_float(const qm_tensor *t) { return t->python_float; }

static bool has_columns(const qm_tensor *t)
{
    return t->ndim == 2 && (t->column_major || (!qm_tensor_is_contiguous(t) && t->stride[0] == 1 &&
                                                t->stride[1] == t->shape[0]));
}

static quamba_status add_metadata(json_t *header, const qm_tensor *tensors, size_t n,
                                  const json_t *metadata, quamba_error *err)
{
    static const struct {
        const char *key;
        bool (*has)(const qm_tensor *);
    } lists[] = {
        {QM_SAFETENSORS_FLOATS,  has_python_float},
        {QM_SAFETENSORS_COLUMNS, has_columns     }
    };
    json_t *all = json_object();
    quamba_status status = QUAMBA_OK;
    if (!all || (metadata && json_object_update(all, (json_t *)(uintptr_t)metadata) != 0))
        status = qm_fail_memory(err, n, "the header");
    for (size_t i = 0; i < QM_COUNT(lists) && status == QUAMBA_OK; i++) {
        char *text = NULL;
        json_object_del(all, lists[i].key);
        status = list_names(&text, tensors, n, lists[i].has, err);
        if (text && json_object_set_new(all, lists[i].key, json_string(text)) != 0)
            status = qm_fail_memory(err, n, "the header");
        free(text);
    }
    if (status == QUAMBA_OK && json_object_size(all) > 0 &&
        json_object_set(header, "__metadata__", all) != 0)
        status = qm_fail_memory(err, n, "the header");
    json_decref(all);
    return status;
}

/* {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]} */
static json_t *describe(const qm_tensor *t, const place *at)
{
    json_t *shape = json_array();
    bool failed = !shape;
    for (int32_t i = 0; i < t->ndim && !failed; i++)
        failed = json_array_append_new(shape, json_integer(t->shape[i])) != 0;
    json_t *entry =
        failed ? NULL
               : json_pack("{s:s, s:O, s:[I, I]}", "dtype", qm_dtype_stored(t->dtype), "shape",
                           shape, "data_offsets", (json_int_t)at->begin, (json_int_t)at->end);
    json_decref(shape);
    return entry;
}

/* *header is the text, padded with blanks so that the data begin at a multiple of ALIGNMENT. */
static quamba_status make_header(qm_text *out, const qm_tensor *tensors, size_t n,
                                 const place *places, const json_t *metadata, quamba_error *err)
{
    json_t *header = json_object();
    if (!header) return qm_fail_memory(err, n, "the header");
    quamba_status status = add_metadata(header, tensors, n, metadata, err);
    for (size_t i = 0; i < n && status == QUAMBA_OK; i++) {
        const qm_tensor *t = &tensors[places[i].index];
        if (json_object_get(header, t->name) || strcmp(t->name, "__metadata__") == 0)
            status = qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                             "tensor \"%.200s\" cannot be written under this name twice", t->name);
        else if (json_object_set_new(header, t->name, describe(t, &places[i])) != 0)
            status = qm_fail_memory(err, n, "the header");
    }
    char *text = status == QUAMBA_OK ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (status != QUAMBA_OK) return status;
    if (text) qm_text_puts(out, text);
    while ((out->size + 8) % ALIGNMENT != 0 && !out->failed && text)
        qm_text_puts(out, " ");
    status = text && !out->failed ? QUAMBA_OK : qm_fail_memory(err, n, "the header");
    free(text);
    return status;
}

static quamba_status write_on(void *user, const void *data, size_t size, quamba_error *err)
{
    return qm_writer_write(user, data, size, err);
}

static quamba_status write_all(const char *path, const qm_text *header, const qm_tensor *tensors,
                               size_t n, const place *places, quamba_error *err)
{
    qm_writer *out = NULL;
    uint8_t size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (uint8_t)((uint64_t)header->size >> (8 * i) & 255);
    quamba_status status = qm_writer_open(&out, path, err);
    if (status == QUAMBA_OK) status = qm_writer_write(out, size, sizeof size, err);
    if (status == QUAMBA_OK) status = qm_writer_write(out, header->data, header->size, err);
    for (size_t i = 0; i < n && status == QUAMBA_OK; i++)
        status = qm_tensor_stream(&tensors[places[i].index], write_on, out, err);
    if (status == QUAMBA_OK) status = qm_writer_commit(out, err);
    qm_writer_close(&out);
    return status;
}

quamba_status qm_safetensors_write(const char *path, const qm_tensor *tensors, size_t n,
                                   const json_t *metadata, quamba_error *err)
{
    qm_text header = {0};
    place *places = qm_alloc(n, sizeof *places);
    quamba_status status =
        places ? QUAMBA_OK : qm_fail_memory(err, n * sizeof *places, "the list of tensors");
    if (status == QUAMBA_OK) status = arrange(places, tensors, n, err);
    if (status == QUAMBA_OK) status = make_header(&header, tensors, n, places, metadata, err);
    if (status != QUAMBA_OK)
        qm_fail_in(err, status, path);
    else
        status = write_all(path, &header, tensors, n, places, err);
    qm_text_free(&header);
    free(places);
    return status;
}
