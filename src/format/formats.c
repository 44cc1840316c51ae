/* The table of checkpoint formats, and opening by what a file holds rather than how it is named. */
#include "base/mem.h"
#include "format/source.h"

#include <stdlib.h>
#include <string.h>

static bool starts_with(const uint8_t *data, size_t size, const char *magic, size_t n)
{
    return size >= n && memcmp(data, magic, n) == 0;
}
#define MAGIC(name, bytes)                                                                         \
    static bool name(const uint8_t *data, size_t size)                                             \
    {                                                                                              \
        return starts_with(data, size, bytes, sizeof(bytes) - 1);                                  \
    }
/* PROTO 2, then the integer 0x1950a86a20f9469cfc6c that torch.save wrote before 1.6 */
MAGIC(is_old_torch, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")
MAGIC(is_git_lfs, "version https://git-lfs")
MAGIC(is_gguf, "GGUF")
MAGIC(is_gzip, "\x1f\x8b")

static bool is_pickle(const uint8_t *data, size_t size)
{
    return size >= 2 && data[0] == 0x80 && data[1] >= 2 && data[1] <= 5;
}

static bool is_tar(const uint8_t *data, size_t size)
{
    return size >= 262 && memcmp(data + 257, "ustar", 5) == 0;
}

/* The first row whose probe says yes is taken. */
static const qm_format formats[] = {
    {"pytorch zip",         qm_torch_zip_probe,   qm_torch_zip_read,   NULL                                                    },
    {"safetensors",         qm_safetensors_probe, qm_safetensors_read, NULL                                                    },
    {"sharded safetensors", qm_sharded_probe,     qm_sharded_read,     NULL                                                    },
    {"old PyTorch file",    is_old_torch,         NULL,
     "load it with a current PyTorch and torch.save it again"                                                                  },
    {"old PyTorch tar",     is_tar,               NULL,                "load it with a current PyTorch and torch.save it again"},
    {"bare pickle",         is_pickle,            NULL,                "save a state dict with torch.save of a current PyTorch"},
    {"GGUF file",           is_gguf,              NULL,                "convert it to safetensors first"                       },
    {"git-lfs pointer",     is_git_lfs,           NULL,
     "it stands for the real file, fetch that with git lfs pull"                                                               },
    {"gzip file",           is_gzip,              NULL,                "decompress it first"                                   },
};

static const char weights_names[][32] = {"model.safetensors", "model.safetensors.index.json",
                                         "pytorch_model.bin"};

static quamba_status read_bytes(qm_source *source, const uint8_t *data, size_t size,
                                quamba_error *err)
{
    if (size == 0) return qm_fail(err, QUAMBA_E_FORMAT, 0, "the file is empty");
    for (size_t i = 0; i < QM_COUNT(formats) && !source->format; i++)
        if (formats[i].probe(data, size)) source->format = &formats[i];
    if (!source->format)
        return qm_fail(err, QUAMBA_E_FORMAT, 0,
                       "neither a safetensors file, its index, nor a pytorch_model.bin");
    if (!source->format->read)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0, "a %s is not read here: %s",
                       source->format->name, source->format->refusal);
    quamba_status status = source->format->read(source, data, size, err);
    return status == QUAMBA_OK ? qm_source_finish(source, err) : status;
}

static quamba_status load_config(qm_source *source, const char *dir, quamba_error *err)
{
    char *path = qm_path_join(dir, "config.json");
    if (!path) return qm_fail_memory(err, strlen(dir), dir);
    quamba_status status = QUAMBA_OK;
    if (!qm_path_is_file(path))
        status = qm_fail(err, QUAMBA_E_IO, 0,
                         "%.400s: there is no config.json; a checkpoint directory has one", dir);
    if (status == QUAMBA_OK) status = qm_json_load(&source->config, path, err);
    if (status == QUAMBA_OK && !json_is_object(source->config))
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "%.400s: must be a JSON object", path);
    free(path);
    return status;
}

/* source->path becomes the file of dir that holds the weights. */
static quamba_status choose_weights(qm_source *source, const char *dir, quamba_error *err)
{
    for (size_t i = 0; i < QM_COUNT(weights_names); i++) {
        source->path = qm_path_join(dir, weights_names[i]);
        if (!source->path) return qm_fail_memory(err, strlen(dir), dir);
        if (qm_path_is_file(source->path)) return QUAMBA_OK;
        free(source->path);
        source->path = NULL;
    }
    return qm_fail(err, QUAMBA_E_IO, 0, "%.400s: no weights: looked for %s, %s and %s", dir,
                   weights_names[0], weights_names[1], weights_names[2]);
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return qm_strndup("", 0);
    return qm_strndup(path, (size_t)(slash - path) + 1);
}

static quamba_status open_path(qm_source *source, const char *path, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    if (qm_path_is_dir(path)) {
        status = load_config(source, path, err);
        if (status == QUAMBA_OK) status = choose_weights(source, path, err);
    } else {
        source->path = qm_strndup(path, strlen(path));
    }
    if (status != QUAMBA_OK) return status;
    if (source->path) source->dir = directory_of(source->path);
    if (!source->dir) return qm_fail_memory(err, strlen(path), path);
    qm_map map = {0};
    status = qm_source_map(source, source->path, &map, err);
    if (status != QUAMBA_OK) return status;
    status = read_bytes(source, map.data, map.size, err);
    return status == QUAMBA_OK ? status : qm_fail_in(err, status, source->path);
}

quamba_status qm_source_open(qm_source **source, const char *path, quamba_error *err)
{
    *source = qm_alloc(1, sizeof **source);
    if (!*source) return qm_fail_memory(err, sizeof **source, path);
    quamba_status status = open_path(*source, path, err);
    if (status != QUAMBA_OK) qm_source_close(source);
    return status;
}

quamba_status qm_source_open_memory(qm_source **source, const void *data, size_t size,
                                    const char *name, quamba_error *err)
{
    *source = qm_alloc(1, sizeof **source);
    if (!*source) return qm_fail_memory(err, sizeof **source, name);
    (*source)->path = qm_strndup(name, strlen(name));
    quamba_status status = (*source)->path ? read_bytes(*source, data, size, err)
                                           : qm_fail_memory(err, strlen(name), name);
    if (status != QUAMBA_OK) {
        qm_fail_in(err, status, name);
        qm_source_close(source);
    }
    return status;
}
