/* What the readers of src/format share: the source they fill and the table they are rows of. */
#ifndef QM_FORMAT_SOURCE_H
#define QM_FORMAT_SOURCE_H

#include "base/file.h"
#include "format/format.h"

typedef struct qm_format {
    const char *name;
    /* True when the bytes look like this format, however damaged what follows is. */
    bool (*probe)(const uint8_t *data, size_t size);
    /* Adds the tensors; data stays mapped as long as the source lives.  Messages leave out the
     * path.  NULL: the format is known but not read, for the reason in refusal. */
    quamba_status (*read)(qm_source *source, const uint8_t *data, size_t size, quamba_error *err);
    const char *refusal;
} qm_format;

struct qm_source {
    const qm_format *format;
    char *path;   /* the file with the tensors, or the index */
    char *dir;    /* its directory, where shards are; NULL in memory */
    qm_map *maps; /* owned */
    size_t n_maps, maps_capacity;
    qm_tensor *tensors; /* in the order of the file */
    char **names;       /* owned, names[i] is tensors[i].name */
    size_t n_tensors, tensors_capacity, names_capacity;
    const qm_tensor **by_name; /* sorted */
    float *scalars;            /* values of Python floats */
    json_t *config, *metadata;
    size_t n_skipped;
};

/* More tensors than any checkpoint has: bounds what a hostile file can make us allocate. */
enum { QM_MAX_TENSORS = 1 << 20 };

/* Maps a file that lives as long as the source. */
quamba_status qm_source_map(qm_source *source, const char *path, qm_map *map, quamba_error *err);

/* Adds a copy of *tensor under a copy of name[n_name]; tensor->name is ignored.  Names must be
 * UTF-8 without 0 bytes.  Duplicates are found when the source is complete. */
quamba_status qm_source_add(qm_source *source, const char *name, size_t n_name,
                            const qm_tensor *tensor, quamba_error *err);

/* Sorts the names; refuses duplicates. */
quamba_status qm_source_finish(qm_source *source, quamba_error *err);

/* The rows of formats.c. */
bool qm_safetensors_probe(const uint8_t *data, size_t size);
quamba_status qm_safetensors_read(qm_source *source, const uint8_t *data, size_t size,
                                  quamba_error *err);
bool qm_sharded_probe(const uint8_t *data, size_t size);
quamba_status qm_sharded_read(qm_source *source, const uint8_t *data, size_t size,
                              quamba_error *err);
bool qm_torch_zip_probe(const uint8_t *data, size_t size);
quamba_status qm_torch_zip_read(qm_source *source, const uint8_t *data, size_t size,
                                quamba_error *err);

#endif
