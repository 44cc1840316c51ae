#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

quamba_status qm_fail_errno(quamba_error *err, const char *path, const char *doing)
{
    int reason = errno;
    char text[128];
    if (strerror_r(reason, text, sizeof text) != 0) snprintf(text, sizeof text, "error %d", reason);
    return qm_fail(err, reason == ENOMEM ? QUAMBA_E_NOMEM : QUAMBA_E_IO, 0, "%.400s: cannot %s: %s",
                   path, doing, text);
}

quamba_status qm_map_open(qm_map *map, const char *path, quamba_error *err)
{
    *map = (qm_map){0};
    /* O_NONBLOCK so that opening a pipe answers at once instead of waiting for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return qm_fail_errno(err, path, "open");
    struct stat info;
    quamba_status status = QUAMBA_OK;
    if (fstat(fd, &info) != 0)
        status = qm_fail_errno(err, path, "look at");
    else if (!S_ISREG(info.st_mode))
        status = qm_fail(err, QUAMBA_E_IO, 0, "%.400s: not a regular file", path);
    else if (info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = qm_fail_errno(err, path, "map");
        else
            *map = (qm_map){data, (size_t)info.st_size};
    }
    close(fd);
    return status;
}

void qm_map_close(qm_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (qm_map){0};
}

bool qm_path_is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool qm_path_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

char *qm_path_join(const char *dir, const char *name)
{
    size_t n_dir = strlen(dir), n_name = strlen(name);
    bool slash = n_dir > 0 && dir[n_dir - 1] != '/';
    char *path = malloc(n_dir + slash + n_name + 1);
    if (!path) return NULL;
    memcpy(path, dir, n_dir);
    if (slash) path[n_dir] = '/';
    memcpy(path + n_dir + slash, name, n_name + 1);
    return path;
}

struct qm_writer {
    int fd;
    bool committed;
    char *path, *temporary;
};

quamba_status qm_writer_open(qm_writer **writer, const char *path, quamba_error *err)
{
    *writer = NULL;
    if (qm_path_is_dir(path))
        return qm_fail(err, QUAMBA_E_IO, 0, "%.400s: cannot write: is a directory", path);
    size_t n = strlen(path), room = n + 40;
    qm_writer *w = qm_alloc(1, sizeof *w);
    char *final = qm_strndup(path, n), *temporary = malloc(room);
    if (!w || !final || !temporary) {
        free(w);
        free(final);
        free(temporary);
        return qm_fail_memory(err, n, path);
    }
    *w = (qm_writer){.fd = -1, .path = final, .temporary = temporary};
    for (int attempt = 0; w->fd < 0 && attempt < 100; attempt++) {
        snprintf(temporary, room, "%s.%ld.%d.tmp", path, (long)getpid(), attempt);
        w->fd = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (w->fd < 0 && errno != EEXIST) break;
    }
    quamba_status status = w->fd < 0 ? qm_fail_errno(err, path, "create") : QUAMBA_OK;
    *writer = w;
    if (status != QUAMBA_OK) {
        w->committed = true; /* there is nothing to remove */
        qm_writer_close(writer);
    }
    return status;
}

quamba_status qm_writer_write(qm_writer *writer, const void *data, size_t size, quamba_error *err)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(writer->fd, at, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return qm_fail_errno(err, writer->path, "write");
        at += n;
        size -= (size_t)n;
    }
    return QUAMBA_OK;
}

quamba_status qm_writer_commit(qm_writer *writer, quamba_error *err)
{
    if (fsync(writer->fd) != 0 && errno != EINVAL) /* EINVAL: a file system that cannot sync */
        return qm_fail_errno(err, writer->path, "write");
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd) != 0) return qm_fail_errno(err, writer->path, "write");
    if (rename(writer->temporary, writer->path) != 0)
        return qm_fail_errno(err, writer->path, "rename into place");
    writer->committed = true;
    return QUAMBA_OK;
}

void qm_writer_close(qm_writer **writer)
{
    qm_writer *w = *writer;
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (!w->committed) unlink(w->temporary);
    free(w->path);
    free(w->temporary);
    free(w);
    *writer = NULL;
}

quamba_status qm_file_write(const char *path, const void *data, size_t size, quamba_error *err)
{
    qm_writer *writer = NULL;
    quamba_status status = qm_writer_open(&writer, path, err);
    if (status == QUAMBA_OK) status = qm_writer_write(writer, data, size, err);
    if (status == QUAMBA_OK) status = qm_writer_commit(writer, err);
    qm_writer_close(&writer);
    return status;
}

quamba_status qm_make_dirs(const char *path, quamba_error *err)
{
    char *copy = qm_strndup(path, strlen(path));
    if (!copy) return qm_fail_memory(err, strlen(path), path);
    quamba_status status = QUAMBA_OK;
    for (char *slash = copy; slash && status == QUAMBA_OK;) {
        slash = strchr(slash + 1, '/'); /* NULL: the whole path */
        if (slash) *slash = '\0';
        if (mkdir(copy, 0777) != 0 && !qm_path_is_dir(copy))
            status = qm_fail_errno(err, copy, "create directory");
        if (slash) *slash = '/';
    }
    free(copy);
    return status;
}
