#include "quant/record.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file never leaves the machine that writes it, so numbers are as memory has them; the key
 * covers that. */
typedef struct header {
    char magic[8];
    uint64_t key, n_values;
} header;
_Static_assert(sizeof(header) == 24, "the header has no holes");

/* A block: its index, its values, and the hash of both. */
enum { BEFORE = sizeof(uint64_t), AFTER = sizeof(uint64_t) };

struct qm_record {
    int fd;
    off_t size; /* of the whole blocks */
    char *path;
    uint64_t key;
    size_t n_values, block_size;
    unsigned char *block; /* [block_size] */
};

static header header_of(const qm_record *r)
{
    header h = {.key = r->key, .n_values = r->n_values};
    memcpy(h.magic, "qmcalib1", sizeof h.magic);
    return h;
}

static quamba_status write_all(qm_record *r, const void *data, size_t size, quamba_error *err)
{
    const char *at = data;
    size_t done = 0;
    quamba_status status = QUAMBA_OK;
    while (done < size && status == QUAMBA_OK) {
        ssize_t n = write(r->fd, at + done, size - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            status = qm_fail_errno(err, r->path, "write");
    }
    if (status == QUAMBA_OK)
        r->size += (off_t)size;
    else if (done > 0) /* should this fail too, the torn block stays and the next run cuts it off */
        (void)!ftruncate(r->fd, r->size);
    return status;
}

/* Takes the blocks at data, as far as they are whole; returns the bytes they have. */
static size_t take_blocks(const qm_record *r, const uint8_t *data, size_t size, size_t n_blocks,
                          float *values, bool *done)
{
    const size_t n_hashed = r->block_size - AFTER, n_bytes = r->n_values * sizeof *values;
    size_t at = 0;
    for (; size - at >= r->block_size; at += r->block_size) {
        uint64_t index, hash;
        memcpy(&index, data + at, sizeof index);
        memcpy(&hash, data + at + n_hashed, sizeof hash);
        if (index >= n_blocks || hash != qm_hash64(data + at, n_hashed, r->key)) break;
        memcpy(values + (size_t)index * r->n_values, data + at + BEFORE, n_bytes);
        done[index] = true;
    }
    return at;
}

static quamba_status resume(qm_record *r, size_t n_blocks, float *values, bool *done,
                            quamba_error *err)
{
    qm_map map;
    const header want = header_of(r);
    quamba_status status = qm_map_open(&map, r->path, err);
    if (status != QUAMBA_OK) return status;
    const size_t n_magic = map.size < sizeof want.magic ? map.size : sizeof want.magic;
    if (n_magic > 0 && memcmp(map.data, want.magic, n_magic) != 0) {
        qm_map_close(&map);
        return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                       "%.400s: is not the record of a calibration; move it away", r->path);
    }
    if (map.size >= sizeof want && memcmp(map.data, &want, sizeof want) == 0)
        r->size =
            (off_t)(sizeof want + take_blocks(r, map.data + sizeof want, map.size - sizeof want,
                                              n_blocks, values, done));
    qm_map_close(&map);
    if (ftruncate(r->fd, r->size) != 0) return qm_fail_errno(err, r->path, "shorten");
    return r->size > 0 ? QUAMBA_OK : write_all(r, &want, sizeof want, err);
}

static quamba_status open_file(qm_record *r, quamba_error *err)
{
    struct stat info;
    r->fd = open(r->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    if (r->fd < 0) return qm_fail_errno(err, r->path, "open");
    if (fstat(r->fd, &info) != 0) return qm_fail_errno(err, r->path, "look at");
    if (!S_ISREG(info.st_mode))
        return qm_fail(err, QUAMBA_E_IO, 0, "%.400s: not a regular file", r->path);
    if (flock(r->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return qm_fail(err, QUAMBA_E_IO, 0, "%.400s: another run is writing it", r->path);
    return QUAMBA_OK;
}

quamba_status qm_record_open(qm_record **record, const char *path, uint64_t key, size_t n_blocks,
                             size_t n_values, float *values, bool *done, quamba_error *err)
{
    qm_record *r = *record = qm_alloc(1, sizeof *r);
    if (!r) return qm_fail_memory(err, sizeof *r, path);
    r->fd = -1;
    r->key = key;
    r->n_values = n_values;
    r->block_size = BEFORE + n_values * sizeof(float) + AFTER;
    r->path = qm_strndup(path, strlen(path));
    r->block = qm_alloc(r->block_size, 1);
    quamba_status status =
        r->path && r->block ? open_file(r, err) : qm_fail_memory(err, r->block_size, path);
    if (status == QUAMBA_OK) status = resume(r, n_blocks, values, done, err);
    if (status != QUAMBA_OK) qm_record_close(record);
    return status;
}

quamba_status qm_record_append(qm_record *r, size_t index, const float *values, quamba_error *err)
{
    const uint64_t number = index;
    const size_t n_hashed = r->block_size - AFTER;
    memcpy(r->block, &number, sizeof number);
    memcpy(r->block + BEFORE, values, r->n_values * sizeof *values);
    const uint64_t hash = qm_hash64(r->block, n_hashed, r->key);
    memcpy(r->block + n_hashed, &hash, sizeof hash);
    return write_all(r, r->block, r->block_size, err);
}

void qm_record_close(qm_record **record)
{
    qm_record *r = *record;
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    free(r->block);
    free(r);
    *record = NULL;
}
