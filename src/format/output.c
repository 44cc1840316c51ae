#include "format/output.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a checkpoint's directory may hold: none of it may be there already, since a file would be
 * replaced or, being another container, preferred. */
static const char *const weight_files[] = {"model.safetensors", "model.safetensors.index.json",
                                           "pytorch_model.bin"};
static const char *const tokenizer_files[] = {"generation_config.json", "special_tokens_map.json",
                                              "tokenizer.json", "tokenizer_config.json"};
static const char *const other_files[] = {"config.json", "act_scales.json"};

enum { MAX_FILES = QM_COUNT(weight_files) + QM_COUNT(tokenizer_files) + QM_COUNT(other_files) };

struct qm_output {
    char *from;   /* directory of the source, "" for the current one */
    char *path;   /* as given, without slashes at its end */
    char *folder; /* where files are written: path, or a temporary name beside it */
    bool staged;  /* the latter */
    bool created; /* the temporary folder exists */
    bool committed;
    const char *files[MAX_FILES];
    size_t n_files;
};

static bool same_directory(const char *a, const char *b)
{
    struct stat x, y;
    return stat(*a ? a : ".", &x) == 0 && stat(*b ? b : ".", &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

static quamba_status check_free(const qm_output *o, const char *const *names, size_t n,
                                quamba_error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct stat info;
        char *path = qm_path_join(o->path, names[i]);
        if (!path) return qm_fail_memory(err, strlen(o->path), "a path");
        bool found = lstat(path, &info) == 0;
        free(path);
        if (found)
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                           "%.400s: has a file %s already; remove it or choose another directory",
                           o->path, names[i]);
    }
    return QUAMBA_OK;
}

static quamba_status check(const qm_output *o, quamba_error *err)
{
    if (o->path[0] == '\0')
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "the output directory has no name");
    if (same_directory(o->from, o->path))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%.400s: is where the source is; choose another directory", o->path);
    if (qm_path_is_file(o->path))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "%.400s: is a file; a directory is written",
                       o->path);
    quamba_status status = check_free(o, weight_files, QM_COUNT(weight_files), err);
    if (status == QUAMBA_OK) status = check_free(o, other_files, QM_COUNT(other_files), err);
    if (status == QUAMBA_OK)
        status = check_free(o, tokenizer_files, QM_COUNT(tokenizer_files), err);
    return status;
}

quamba_status qm_output_open(qm_output **output, const char *path, const char *source_file,
                             quamba_error *err)
{
    const char *slash = strrchr(source_file, '/');
    size_t n = strlen(path), room = n + 40;
    while (n > 1 && path[n - 1] == '/')
        n--;
    *output = NULL;
    qm_output *o = qm_alloc(1, sizeof *o);
    if (!o) return qm_fail_memory(err, sizeof *o, path);
    o->from = qm_strndup(source_file, slash ? (size_t)(slash - source_file) + 1 : 0);
    o->path = qm_strndup(path, n);
    o->folder = malloc(room);
    quamba_status status =
        o->from && o->path && o->folder ? check(o, err) : qm_fail_memory(err, room, path);
    if (status == QUAMBA_OK) {
        o->staged = !qm_path_is_dir(path);
        if (o->staged)
            snprintf(o->folder, room, "%s.%ld.tmp", o->path, (long)getpid());
        else
            memcpy(o->folder, o->path, n + 1);
    } else {
        qm_output_close(&o);
    }
    *output = o;
    return status;
}

quamba_status qm_output_file(qm_output *o, const char *name, char **file, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    *file = NULL;
    if (o->staged && !o->created) {
        status = qm_make_dirs(o->folder, err);
        if (status != QUAMBA_OK) return status;
        o->created = true;
    }
    *file = qm_path_join(o->folder, name);
    if (!*file) return qm_fail_memory(err, strlen(o->folder), "a path");
    o->files[o->n_files++] = name;
    return QUAMBA_OK;
}

quamba_status qm_output_copy(qm_output *o, const char *name, quamba_error *err)
{
    qm_map map = {0};
    char *from = qm_path_join(o->from, name), *to = NULL;
    if (!from) return qm_fail_memory(err, strlen(o->from), "a path");
    quamba_status status = QUAMBA_OK;
    if (qm_path_is_file(from)) {
        status = qm_map_open(&map, from, err);
        if (status == QUAMBA_OK) status = qm_output_file(o, name, &to, err);
        if (status == QUAMBA_OK) status = qm_file_write(to, map.data, map.size, err);
    }
    qm_map_close(&map);
    free(from);
    free(to);
    return status;
}

quamba_status qm_output_copy_tokenizer(qm_output *o, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; status == QUAMBA_OK && i < QM_COUNT(tokenizer_files); i++)
        status = qm_output_copy(o, tokenizer_files[i], err);
    return status;
}

const char *qm_output_name(const qm_output *o, size_t index)
{
    return index < o->n_files ? o->files[index] : NULL;
}

quamba_status qm_output_commit(qm_output *o, quamba_error *err)
{
    if (o->staged && rename(o->folder, o->path) != 0)
        return qm_fail_errno(err, o->path, "move the finished directory there");
    o->committed = true;
    return QUAMBA_OK;
}

void qm_output_close(qm_output **output)
{
    qm_output *o = *output;
    if (!o) return;
    while (!o->committed && o->n_files > 0) {
        char *path = qm_path_join(o->folder, o->files[--o->n_files]);
        if (path) unlink(path);
        free(path);
    }
    if (!o->committed && o->created) rmdir(o->folder);
    free(o->from);
    free(o->path);
    free(o->folder);
    free(o);
    *output = NULL;
}
