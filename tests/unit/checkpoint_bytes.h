/* Checkpoints built byte by byte, independently of the writers under test. */
#ifndef CHECKPOINT_BYTES_H
#define CHECKPOINT_BYTES_H

#include "base/mem.h"
#include "base/text.h"
#include "format/crc32.h"
#include "format/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Bytes of a string literal, zeros inside included. */
#define ADD(text, literal) qm_text_add((text), (literal), sizeof(literal) - 1)

static inline void add_number(qm_text *out, uint64_t value, int n_bytes)
{
    for (; n_bytes > 0; n_bytes--, value >>= 8)
        qm_text_add(out, (const char[]){(char)(value & 255)}, 1);
}

static inline void set_number(qm_text *out, size_t at, uint64_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        out->data[at + (size_t)i] = (char)(value >> (8 * i) & 255);
}

/* Opens an exact copy on the heap, so that a sanitizer sees a read past the end.  The copy goes
 * with close_copy. */
typedef struct copy {
    void *bytes;
    qm_source *source;
    quamba_error err;
} copy;

static inline quamba_status open_copy(copy *c, const char *data, size_t size)
{
    memset(c, 0, sizeof *c);
    c->bytes = malloc(size > 0 ? size : 1);
    assert_non_null(c->bytes);
    if (size > 0) memcpy(c->bytes, data, size);
    quamba_status status = qm_source_open_memory(&c->source, c->bytes, size, "mem", &c->err);
    if (status == QUAMBA_OK) { /* every element must be readable */
        for (size_t i = 0; i < qm_source_count(c->source); i++) {
            const qm_tensor *t = qm_source_at(c->source, i);
            char *out = malloc(qm_tensor_bytes(t) + 1);
            assert_non_null(out);
            qm_tensor_copy(t, out);
            free(out);
        }
    } else {
        assert_null(c->source);
        assert_int_equal(c->err.status, status);
        assert_memory_equal(c->err.message, "mem: ", 5);
    }
    return status;
}

static inline void close_copy(copy *c)
{
    qm_source_close(&c->source);
    free(c->bytes);
}

/* Fails unless opening ends in this status with this word in the message. */
static inline void expect_refusal(const char *data, size_t size, quamba_status status,
                                  const char *word)
{
    copy c;
    quamba_status got = open_copy(&c, data, size);
    if (got != status || !strstr(c.err.message, word))
        fail_msg("wanted %d with \"%s\", got %d: %s", status, word, got, c.err.message);
    close_copy(&c);
}

static inline void expect_truncations_refused(const qm_text *file)
{
    for (size_t n = 0; n < file->size; n++) {
        copy c;
        if (open_copy(&c, file->data, n) == QUAMBA_OK) fail_msg("%zu bytes were accepted", n);
        close_copy(&c);
    }
}

/* Changes each byte in several ways; anything may come out but a crash. */
static inline void survive_flips(const qm_text *file)
{
    static const char values[] = {0, 1, (char)-1, 127, '{', '.'};
    for (size_t at = 0; at < file->size; at++)
        for (size_t v = 0; v <= QM_COUNT(values); v++) {
            char old = file->data[at];
            file->data[at] = v < QM_COUNT(values) ? values[v] : (char)(old ^ 1);
            copy c;
            open_copy(&c, file->data, file->size);
            close_copy(&c);
            file->data[at] = old;
        }
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static inline void add_safetensors(qm_text *out, const char *header, const void *data, size_t size)
{
    add_number(out, strlen(header), 8);
    qm_text_puts(out, header);
    qm_text_add(out, data, size);
}

/* ---- pickles --------------------------------------------------------------------------------- */

static inline void add_string(qm_text *out, const char *text)
{
    ADD(out, "X");
    add_number(out, strlen(text), 4);
    qm_text_puts(out, text);
}

static inline void add_int(qm_text *out, int64_t value)
{
    ADD(out, "\x8a\x08");
    add_number(out, (uint64_t)value, 8);
}

typedef struct stored {
    const char *name, *type, *key;
    int64_t numel, offset, shape[9], stride[9];
    int ndim;
} stored;

static inline void add_dims(qm_text *out, const int64_t *dims, int n)
{
    ADD(out, "(");
    for (int i = 0; i < n; i++)
        add_int(out, dims[i]);
    ADD(out, "t");
}

/* The value only, without its key. */
static inline void add_tensor(qm_text *out, const stored *t)
{
    ADD(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    add_string(out, "storage");
    qm_text_printf(out, "ctorch\n%s\n", t->type);
    add_string(out, t->key);
    add_string(out, "cpu");
    add_int(out, t->numel);
    ADD(out, "tQ");
    add_int(out, t->offset);
    add_dims(out, t->shape, t->ndim);
    add_dims(out, t->stride, t->ndim);
    ADD(out, "\x89"
             "ccollections\nOrderedDict\n)RtR");
}

static inline void add_entry(qm_text *out, const stored *t)
{
    add_string(out, t->name);
    add_tensor(out, t);
}

/* ---- zip ------------------------------------------------------------------------------------- */

typedef struct archive {
    qm_text file, directory;
    size_t n, at_directory, at_end64, at_locator, at_end;
    size_t entry[16], local[16]; /* entries relative to the directory */
} archive;

/* As torch.save streams it: sizes and checksum only behind the data and in the directory. */
static inline void add_member(archive *a, const char *name, const void *data, size_t size)
{
    qm_crc32 *table = malloc(sizeof *table);
    assert_non_null(table);
    qm_crc32_init(table);
    uint32_t crc = qm_crc32_update(table, 0, data, size);
    free(table);
    a->local[a->n] = a->file.size;
    a->entry[a->n++] = a->directory.size;
    qm_text *d = &a->directory;
    ADD(d, "PK\1\2\0\0\0\0\10\10\0\0\0\0\0\0");
    add_number(d, crc, 4);
    add_number(d, size, 4);
    add_number(d, size, 4);
    add_number(d, strlen(name), 2);
    add_number(d, 0, 2 + 2 + 2 + 2 + 4);
    add_number(d, a->file.size, 4);
    qm_text_puts(d, name);
    qm_text *f = &a->file;
    ADD(f, "PK\3\4\0\0\10\10\0\0\0\0\0\0");
    add_number(f, 0, 4 + 4 + 4); /* checksum and sizes are not known yet */
    add_number(f, strlen(name), 2);
    add_number(f, 5, 2); /* an extra field of 5 bytes: the data are misaligned */
    qm_text_puts(f, name);
    ADD(f, "FB\1\0Z");
    qm_text_add(f, data, size);
    ADD(f, "PK\7\10");
    add_number(f, crc, 4);
    add_number(f, size, 4);
    add_number(f, size, 4);
}

static inline void finish_archive(archive *a)
{
    uint64_t begin = a->file.size, size = a->directory.size;
    a->at_directory = begin;
    qm_text *f = &a->file;
    qm_text_add(f, a->directory.data, a->directory.size);
    a->at_end64 = f->size;
    ADD(f, "PK\6\6\54\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    add_number(f, a->n, 8);
    add_number(f, a->n, 8);
    add_number(f, size, 8);
    add_number(f, begin, 8);
    a->at_locator = f->size;
    ADD(f, "PK\6\7\0\0\0\0");
    add_number(f, a->at_end64, 8);
    add_number(f, 1, 4);
    a->at_end = f->size;
    ADD(f, "PK\5\6\0\0\0\0");
    add_number(f, a->n, 2);
    add_number(f, a->n, 2);
    add_number(f, size, 4);
    add_number(f, begin, 4);
    add_number(f, 0, 2);
    assert_false(f->failed);
}

static inline void free_archive(archive *a)
{
    qm_text_free(&a->file);
    qm_text_free(&a->directory);
}

#endif
