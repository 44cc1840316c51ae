/* model.safetensors.index.json: {"weight_map": {tensor: file}} over safetensors files beside it. */
#include "format/source.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 10000 };

bool qm_sharded_probe(const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size && (data[at] == ' ' || (data[at] >= 9 && data[at] <= 13)))
        at++;
    return at < size && data[at] == '{';
}

/* Files beside the index only: a name with a path could reach anywhere. */
static bool is_plain_name(const char *name)
{
    return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* *shards becomes an object whose keys are the files, in the order they first appear. */
static quamba_status list_shards(json_t **shards, json_t *map, quamba_error *err)
{
    const char *name;
    json_t *value;
    *shards = json_object();
    if (!*shards) return qm_fail_memory(err, 0, "the list of shards");
    if (!json_is_object(map) || json_object_size(map) == 0)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "no object \"weight_map\": not the index of a sharded checkpoint");
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        if (!is_plain_name(shard))
            return qm_fail(err, QUAMBA_E_FORMAT, 0,
                           "tensor \"%.200s\": its shard must be a plain file name", name);
        if (json_object_set(*shards, shard, value) != 0)
            return qm_fail_memory(err, strlen(shard), "the list of shards");
    }
    if (json_object_size(*shards) > MAX_SHARDS)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "%zu shards, at most %d", json_object_size(*shards),
                       MAX_SHARDS);
    return QUAMBA_OK;
}

/* Adds one shard's tensors; the index must assign each of them to it. */
static quamba_status read_shard(qm_source *source, const char *shard, const json_t *map,
                                quamba_error *err)
{
    if (!source->dir)
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "an index in memory has no shards beside it");
    char *path = qm_path_join(source->dir, shard);
    if (!path) return qm_fail_memory(err, strlen(shard), shard);
    qm_map file = {0};
    size_t first = source->n_tensors;
    quamba_status status = qm_source_map(source, path, &file, err);
    free(path);
    if (status != QUAMBA_OK) return status;
    if (!qm_safetensors_probe(file.data, file.size))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "not a safetensors file");
    if (status == QUAMBA_OK) status = qm_safetensors_read(source, file.data, file.size, err);
    for (size_t i = first; status == QUAMBA_OK && i < source->n_tensors; i++) {
        const char *name = source->tensors[i].name;
        const char *wanted = json_string_value(json_object_get(map, name));
        if (!wanted || strcmp(wanted, shard) != 0)
            status =
                qm_fail(err, QUAMBA_E_FORMAT, 0, "holds tensor \"%.200s\", which the index puts %s",
                        name, wanted ? "in another shard" : "nowhere");
    }
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, shard);
}

quamba_status qm_sharded_read(qm_source *source, const uint8_t *data, size_t size,
                              quamba_error *err)
{
    json_t *index = NULL, *shards = NULL;
    const char *name;
    json_t *shard;
    quamba_status status = qm_json_parse(&index, (const char *)data, size, err);
    json_t *map = json_object_get(index, "weight_map");
    if (status == QUAMBA_OK) status = list_shards(&shards, map, err);
    json_object_foreach(shards, name, shard) if (status == QUAMBA_OK) status =
        read_shard(source, name, map, err);
    /* Every tensor found is in the map, so a missing one shows in the number.  (Duplicates cannot
     * hide it: a tensor of two shards is refused above.) */
    if (status == QUAMBA_OK && source->n_tensors != json_object_size(map)) {
        size_t i = 0;
        while (i < source->n_tensors) /* take out what is there; the first left is missing */
            json_object_del(map, source->tensors[i++].name);
        name = json_object_iter_key(json_object_iter(map));
        shard = json_object_get(map, name);
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "tensor \"%.200s\" is not in %.200s, where the index puts it", name,
                         json_string_value(shard));
    }
    json_decref(shards);
    json_decref(index);
    return status;
}
