/* What a checkpoint directory says in JSON: the input up to the first 0 byte is its config.json,
 * the rest model.safetensors.index.json.  The shards that an index could name are the empty file
 * "empty" and the good file "good". */
#include "format/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(const char *dir, const char *name, const void *data, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
}

static void drop(const char *dir, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char good[] = "\x39\0\0\0\0\0\0\0"
                               "{\"t\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[0,3]}}    "
                               "abc";
    const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
    size_t n_config = zero ? (size_t)(zero - data) : size;
    char dir[] = "/dev/shm/quamba-fuzz-XXXXXX";
    if (!mkdtemp(dir)) return 0;
    put(dir, "config.json", data, n_config);
    put(dir, "empty", "", 0);
    put(dir, "good", good, sizeof good - 1);
    if (zero) put(dir, "model.safetensors.index.json", zero + 1, size - n_config - 1);
    qm_source *source = NULL;
    if (qm_source_open(&source, dir, NULL) == QUAMBA_OK) {
        for (size_t i = 0; i < qm_source_count(source); i++)
            if (!qm_source_find(source, qm_source_at(source, i)->name)) abort();
        qm_source_close(&source);
    }
    drop(dir, "config.json");
    drop(dir, "empty");
    drop(dir, "good");
    drop(dir, "model.safetensors.index.json");
    rmdir(dir);
    return 0;
}
