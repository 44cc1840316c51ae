#include "format/source.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t qm_source_count(const qm_source *source) { return source->n_tensors; }

const qm_tensor *qm_source_at(const qm_source *source, size_t index)
{
    return &source->tensors[index];
}

const char *qm_source_format(const qm_source *source) { return source->format->name; }

const char *qm_source_path(const qm_source *source) { return source->path; }

const json_t *qm_source_config(const qm_source *source) { return source->config; }

const json_t *qm_source_metadata(const qm_source *source) { return source->metadata; }

size_t qm_source_skipped(const qm_source *source) { return source->n_skipped; }

const qm_tensor *qm_source_find(const qm_source *source, const char *name)
{
    size_t low = 0, high = source->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, source->by_name[middle]->name);
        if (order == 0) return source->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

quamba_status qm_source_map(qm_source *source, const char *path, qm_map *map, quamba_error *err)
{
    if (!qm_grow(&source->maps, &source->maps_capacity, source->n_maps + 1, sizeof *source->maps))
        return qm_fail_memory(err, source->n_maps * sizeof *source->maps, path);
    quamba_status status = qm_map_open(map, path, err);
    if (status == QUAMBA_OK) source->maps[source->n_maps++] = *map;
    return status;
}

void qm_source_discard(const qm_source *source, const qm_tensor *tensor)
{
    uint64_t last = 0; /* element */
    for (int32_t i = 0; i < tensor->ndim; i++) {
        if (tensor->shape[i] == 0) return;
        last += (uint64_t)(tensor->shape[i] - 1) * (uint64_t)tensor->stride[i];
    }
    const uintptr_t data = (uintptr_t)tensor->data;
    for (size_t i = 0; i < source->n_maps; i++) { /* other memory is the caller's */
        const uintptr_t begin = (uintptr_t)source->maps[i].data;
        if (data >= begin && data - begin < source->maps[i].size)
            qm_discard_pages(tensor->data, (size_t)(last + 1) * qm_dtype_size(tensor->dtype));
    }
}

static bool is_text(const char *name, size_t n)
{
    for (size_t at = 0; at < n;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)name + at,
                                                 (utf8proc_ssize_t)(n - at), &code);
        if (step <= 0 || code == 0) return false;
        at += (size_t)step;
    }
    return true;
}

quamba_status qm_source_add(qm_source *source, const char *name, size_t n_name,
                            const qm_tensor *tensor, quamba_error *err)
{
    size_t n = source->n_tensors;
    if (n >= QM_MAX_TENSORS)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "more than %d tensors", QM_MAX_TENSORS);
    if (!is_text(name, n_name))
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "the name of tensor %zu is not UTF-8 text", n);
    if (!qm_grow(&source->tensors, &source->tensors_capacity, n + 1, sizeof *source->tensors) ||
        !qm_grow(&source->names, &source->names_capacity, n + 1, sizeof *source->names))
        return qm_fail_memory(err, (n + 1) * sizeof *source->tensors, "the list of tensors");
    char *copy = qm_strndup(name, n_name);
    if (!copy) return qm_fail_memory(err, n_name + 1, "the name of a tensor");
    source->names[n] = copy;
    source->tensors[n] = *tensor;
    source->tensors[n].name = copy;
    source->n_tensors++;
    return QUAMBA_OK;
}

static int compare_names(const void *left, const void *right)
{
    const qm_tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

quamba_status qm_source_finish(qm_source *source, quamba_error *err)
{
    size_t n = source->n_tensors;
    source->by_name = qm_alloc(n, sizeof(qm_tensor *));
    if (!source->by_name) return qm_fail_memory(err, n * sizeof(qm_tensor *), "the tensor names");
    for (size_t i = 0; i < n; i++)
        source->by_name[i] = &source->tensors[i];
    qsort(source->by_name, n, sizeof(qm_tensor *), compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcmp(source->by_name[i - 1]->name, source->by_name[i]->name) == 0)
            return qm_fail(err, QUAMBA_E_FORMAT, 0, "tensor \"%.200s\" is there twice",
                           source->by_name[i]->name);
    return QUAMBA_OK;
}

void qm_source_close(qm_source **source)
{
    qm_source *s = *source;
    if (!s) return;
    for (size_t i = 0; i < s->n_tensors; i++)
        free(s->names[i]);
    for (size_t i = 0; i < s->n_maps; i++)
        qm_map_close(&s->maps[i]);
    json_decref(s->config);
    json_decref(s->metadata);
    free(s->names);
    free(s->tensors);
    free(s->by_name);
    free(s->scalars);
    free(s->maps);
    free(s->path);
    free(s->dir);
    free(s);
    *source = NULL;
}
