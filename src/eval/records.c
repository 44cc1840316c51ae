#include "eval/records.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct qm_records {
    int fd;
    off_t size; /* of the whole records */
    char *path;
};

/* The bytes of the file, 0-terminated (free). */
static quamba_status read_all(const qm_records *r, char **data, size_t *size, quamba_error *err)
{
    struct stat info;
    *data = NULL;
    *size = 0;
    if (fstat(r->fd, &info) != 0) return qm_fail_errno(err, r->path, "look at");
    if (!S_ISREG(info.st_mode))
        return qm_fail(err, QUAMBA_E_IO, 0, "%.400s: not a regular file", r->path);
    size_t wanted = (size_t)info.st_size;
    char *bytes = malloc(wanted + 1);
    if (!bytes) return qm_fail_memory(err, wanted, r->path);
    while (*size < wanted) {
        ssize_t n = pread(r->fd, bytes + *size, wanted - *size, (off_t)*size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            free(bytes);
            return qm_fail_errno(err, r->path, "read");
        }
        if (n == 0) break;
        *size += (size_t)n;
    }
    bytes[*size] = '\0';
    *data = bytes;
    return QUAMBA_OK;
}

/* What the file holds. */
typedef struct contents {
    json_t *header;   /* NULL: the file is empty, or a torn header */
    json_t **records; /* whole lines after it */
    size_t n_records, capacity;
    size_t size; /* bytes up to the end of the last whole record */
} contents;

static void contents_free(contents *c)
{
    json_decref(c->header);
    for (size_t i = 0; i < c->n_records; i++)
        json_decref(c->records[i]);
    free(c->records);
}

static quamba_status fail_foreign(const qm_records *r, quamba_error *err)
{
    return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                   "%.400s: is not a record file of quamba eval; move it away or take another "
                   "--log-dir",
                   r->path);
}

/* Takes the lines apart.  A last line that does not end, or that is no object, was torn. */
static quamba_status parse(contents *c, const qm_records *r, const char *data, size_t size,
                           quamba_error *err)
{
    static const char mark[] = "{\"quamba_eval\"";
    size_t n_mark = sizeof mark - 1 < size ? sizeof mark - 1 : size, line = 0;
    if (memcmp(data, mark, n_mark) != 0) return fail_foreign(r, err);
    for (size_t at = 0, next; at < size; at = next) {
        const char *feed = memchr(data + at, '\n', size - at);
        if (!feed) break;
        size_t end = (size_t)(feed - data);
        next = end + 1;
        line++;
        json_error_t why;
        json_t *value = json_loadb(data + at, end - at, JSON_REJECT_DUPLICATES, &why);
        if (!value && json_error_code(&why) == json_error_out_of_memory)
            return qm_fail_memory(err, end - at, r->path);
        if (!json_is_object(value)) {
            json_decref(value);
            if (next == size && line > 1) break;
            return qm_fail(err, QUAMBA_E_FORMAT, line,
                           "%.400s:%zu: not a record; --overwrite starts again", r->path, line);
        }
        if (line == 1)
            c->header = value;
        else if (qm_grow(&c->records, &c->capacity, c->n_records + 1, sizeof(json_t *)))
            c->records[c->n_records++] = value;
        else {
            json_decref(value);
            return qm_fail_memory(err, c->n_records, r->path);
        }
        c->size = next;
    }
    return QUAMBA_OK;
}

static void show(char *out, size_t size, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    snprintf(out, size, "%.120s", text ? text : "nothing");
    free(text);
}

/* Both ways, so that a key only one side has is named too. */
static quamba_status compare_headers(const qm_records *r, const json_t *theirs, const json_t *ours,
                                     quamba_error *err)
{
    for (int pass = 0; pass < 2; pass++) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)(pass == 0 ? ours : theirs), key, value)
        {
            const json_t *a = json_object_get(theirs, key), *b = json_object_get(ours, key);
            char text_a[128], text_b[128];
            if (strcmp(key, "file") == 0 || json_equal(a, b)) continue;
            show(text_a, sizeof text_a, a);
            show(text_b, sizeof text_b, b);
            return qm_fail(err, QUAMBA_E_ARGUMENT, 0,
                           "%.300s: cannot resume: the records were made with %.40s %s, this run "
                           "has %s; --overwrite starts again",
                           r->path, key, text_a, text_b);
        }
    }
    return QUAMBA_OK;
}

static quamba_status truncate_to(qm_records *r, size_t size, quamba_error *err)
{
    if (ftruncate(r->fd, (off_t)size) != 0) return qm_fail_errno(err, r->path, "shorten");
    r->size = (off_t)size;
    return QUAMBA_OK;
}

static quamba_status resume(qm_records *r, const contents *c, const qm_records_options *o,
                            quamba_error *err)
{
    quamba_status status = compare_headers(r, c->header, o->header, err);
    if (status == QUAMBA_OK && c->n_records > o->n_items)
        status = qm_fail(err, QUAMBA_E_FORMAT, c->n_records,
                         "%.400s: holds %zu records of a run over %" PRIu64 " items", r->path,
                         c->n_records, o->n_items);
    for (size_t i = 0; i < c->n_records && status == QUAMBA_OK; i++) {
        char where[400];
        status = o->each(o->user, c->records[i], err);
        snprintf(where, sizeof where, "%.360s:%zu", r->path, i + 2);
        if (status != QUAMBA_OK) qm_fail_in(err, status, where);
    }
    return status == QUAMBA_OK ? truncate_to(r, c->size, err) : status;
}

static quamba_status begin(qm_records *r, const contents *c, const qm_records_options *o,
                           quamba_error *err)
{
    int64_t n_items = json_integer_value(json_object_get(c->header, "n_items"));
    if (!o->overwrite && !o->resume && c->n_records > 0 && (int64_t)c->n_records != n_items)
        return qm_fail(err, QUAMBA_E_ARGUMENT, c->n_records,
                       "%.400s: holds %zu of %" PRId64 " items of an unfinished run; --resume goes "
                       "on with it, --overwrite starts again",
                       r->path, c->n_records, n_items);
    quamba_status status = truncate_to(r, 0, err);
    return status == QUAMBA_OK ? qm_records_append(r, o->header, err) : status;
}

quamba_status qm_records_open(qm_records **records, const qm_records_options *o, quamba_error *err)
{
    qm_records *r = *records = qm_alloc(1, sizeof *r);
    if (!r) return qm_fail_memory(err, sizeof *r, o->path);
    r->fd = -1;
    r->path = qm_strndup(o->path, strlen(o->path));
    if (!r->path) {
        qm_records_close(records);
        return qm_fail_memory(err, strlen(o->path), o->path);
    }
    char *data = NULL;
    size_t size = 0;
    contents found = {0};
    quamba_status status = QUAMBA_OK;
    r->fd = open(r->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
    if (r->fd < 0)
        status = qm_fail_errno(err, r->path, "open");
    else if (flock(r->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        status = qm_fail(err, QUAMBA_E_IO, 0, "%.400s: another run is writing it", r->path);
    if (status == QUAMBA_OK) status = read_all(r, &data, &size, err);
    if (status == QUAMBA_OK && size > 0) {
        status = parse(&found, r, data, size, err);
        if (status == QUAMBA_E_FORMAT && o->overwrite) status = QUAMBA_OK;
    }
    if (status == QUAMBA_OK)
        status = o->resume && found.header ? resume(r, &found, o, err) : begin(r, &found, o, err);
    contents_free(&found);
    free(data);
    if (status != QUAMBA_OK) qm_records_close(records);
    return status;
}

quamba_status qm_records_append(qm_records *r, const json_t *record, quamba_error *err)
{
    size_t size = json_dumpb(record, NULL, 0, JSON_COMPACT), done = 0;
    char *line = size > 0 ? malloc(size + 1) : NULL;
    if (!line) return qm_fail_memory(err, size + 1, "a record");
    json_dumpb(record, line, size, JSON_COMPACT);
    line[size++] = '\n';
    quamba_status status = QUAMBA_OK;
    while (done < size && status == QUAMBA_OK) {
        ssize_t n = write(r->fd, line + done, size - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            status = qm_fail_errno(err, r->path, "write");
    }
    free(line);
    if (status == QUAMBA_OK)
        r->size += (off_t)size;
    else if (done > 0) /* should this fail too, the torn line stays and a resume cuts it off */
        (void)!ftruncate(r->fd, r->size);
    return status;
}

void qm_records_close(qm_records **records)
{
    qm_records *r = *records;
    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    free(r->path);
    free(r);
    *records = NULL;
}
