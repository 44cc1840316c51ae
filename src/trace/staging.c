#include "trace/staging.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* True for a directory that can be read and holds nothing. */
static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    bool empty = dir != NULL;
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (dir) closedir(dir);
    return empty;
}

quamba_status qm_staging_open(qm_staging *s, const char *path, quamba_error *err)
{
    size_t n = strlen(path);
    struct stat info;
    while (n > 1 && path[n - 1] == '/')
        n--;
    *s = (qm_staging){.path = qm_strndup(path, n), .folder = malloc(n + 40)};
    if (!s->path || !s->folder) return qm_fail_memory(err, n, path);
    snprintf(s->folder, n + 40, "%s.%ld.tmp", s->path, (long)getpid());
    if (n == 0) return qm_fail(err, QUAMBA_E_ARGUMENT, 0, "the output directory has no name");
    if (lstat(s->path, &info) == 0 && !is_empty(s->path))
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%.400s: is there already; remove it or choose another directory", s->path);
    quamba_status status = qm_make_dirs(s->folder, err);
    s->created = status == QUAMBA_OK;
    return status;
}

quamba_status qm_staging_room(const qm_staging *s, uint64_t n_bytes, quamba_error *err)
{
    struct statvfs info;
    if (statvfs(s->folder, &info) != 0) return QUAMBA_OK; /* writing will tell */
    const uint64_t room = (uint64_t)info.f_bavail * (uint64_t)info.f_frsize;
    if (n_bytes <= room) return QUAMBA_OK;
    return qm_fail(err, QUAMBA_E_LIMIT, n_bytes,
                   "%.400s: the trace takes %.1f MB, and %.1f MB are free there: trace fewer "
                   "--tokens, --layers or --edges",
                   s->path, 1e-6 * (double)n_bytes, 1e-6 * (double)room);
}

quamba_status qm_staging_write(const qm_staging *s, const char *name, uint64_t offset,
                               const void *data, size_t size, quamba_error *err)
{
    char *path = qm_path_join(s->folder, name);
    if (!path) return qm_fail_memory(err, strlen(s->folder), "a path");
    quamba_status status = QUAMBA_OK;
    const char *at = data;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) status = qm_fail_errno(err, path, "create");
    while (status == QUAMBA_OK && size > 0) {
        const ssize_t n = pwrite(fd, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = qm_fail_errno(err, path, "write");
            break;
        }
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    if (fd >= 0 && close(fd) != 0 && status == QUAMBA_OK)
        status = qm_fail_errno(err, path, "write");
    free(path);
    return status;
}

quamba_status qm_staging_seal(const qm_staging *s, const char *name, char sha256[65],
                              quamba_error *err)
{
    qm_map map = {0};
    char *path = qm_path_join(s->folder, name);
    if (!path) return qm_fail_memory(err, strlen(s->folder), "a path");
    quamba_status status = QUAMBA_OK;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) status = qm_fail_errno(err, path, "write");
    if (fd >= 0) close(fd);
    if (status == QUAMBA_OK) status = qm_map_open(&map, path, err);
    if (status == QUAMBA_OK) qm_sha256(map.data, map.size, sha256);
    qm_map_close(&map);
    free(path);
    return status;
}

quamba_status qm_staging_commit(qm_staging *s, quamba_error *err)
{
    if (rename(s->folder, s->path) != 0)
        return qm_fail_errno(err, s->path, "move the finished directory there");
    s->committed = true;
    return QUAMBA_OK;
}

/* The folder is ours alone: everything in it goes. */
static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

void qm_staging_close(qm_staging *s)
{
    if (s->created && !s->committed) remove_folder(s->folder);
    free(s->path);
    free(s->folder);
    *s = (qm_staging){0};
}
