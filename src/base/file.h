/* Files: mapped for reading, written whole or not at all. */
#ifndef QM_BASE_FILE_H
#define QM_BASE_FILE_H

#include "base/status.h"

/* A read-only mapping of a whole file.  An empty file has size 0 and data NULL. */
typedef struct qm_map {
    const uint8_t *data;
    size_t size;
} qm_map;

/* E_IO names the path and the system's reason; a directory or a device is refused. */
quamba_status qm_map_open(qm_map *map, const char *path, quamba_error *err);
void qm_map_close(qm_map *map);

/* True when path exists and is a directory / a regular file. */
bool qm_path_is_dir(const char *path);
bool qm_path_is_file(const char *path);

/* "dir/name" in new memory (free), or NULL without memory; name alone when dir is "". */
char *qm_path_join(const char *dir, const char *name);

/* Writes a file under a temporary name in the same folder; commit syncs it and renames it into
 * place.  Close without commit removes it: nothing is ever half written. */
typedef struct qm_writer qm_writer;
quamba_status qm_writer_open(qm_writer **writer, const char *path, quamba_error *err);
quamba_status qm_writer_write(qm_writer *writer, const void *data, size_t size, quamba_error *err);
quamba_status qm_writer_commit(qm_writer *writer, quamba_error *err);
void qm_writer_close(qm_writer **writer);

/* The whole of data as one file, by the above. */
quamba_status qm_file_write(const char *path, const void *data, size_t size, quamba_error *err);

/* Creates path as a directory, parents included; an existing directory is fine. */
quamba_status qm_make_dirs(const char *path, quamba_error *err);

/* What errno says about a call that failed: "PATH: cannot open: No such file"; E_NOMEM for ENOMEM,
 * else E_IO. */
quamba_status qm_fail_errno(quamba_error *err, const char *path, const char *doing);

#endif
