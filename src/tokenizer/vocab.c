#include "tokenizer/tokenizer.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* GPT-2's alphabet gives every byte a visible character: printable Latin-1 stands for itself, the
 * other 68 bytes are U+0100 and up, in order. */
static bool plain(uint32_t code)
{
    return (code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD);
}

static int byte_of(uint32_t code)
{
    if (plain(code)) return (int)code;
    if (code < 0x100 || code > 0x143) return -1;
    uint32_t rank = code - 0x100;
    if (rank < 0x21) return (int)rank;                 /* 00 .. 20 */
    if (rank < 0x43) return (int)(rank - 0x21 + 0x7F); /* 7F .. A0 */
    return 0xAD;
}

bool qm_vocab_unspell(qm_text *out, const char *spelled, size_t n)
{
    size_t before = out->size, used = before;
    qm_text_add(out, spelled, n); /* room for the bytes, which are no more than n */
    if (out->failed) return true; /* for the caller to find */
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t size = qm_utf8_next(spelled + i, n - i, &code);
        int byte = size > 0 ? byte_of(code) : -1;
        if (byte < 0) {
            out->size = before;
            return false;
        }
        out->data[used++] = (char)byte;
        i += size;
    }
    out->size = used;
    return true;
}

quamba_status qm_vocab_add(qm_vocab *v, const char *spelled, size_t n, int64_t id, uint8_t flags,
                           quamba_error *err)
{
    if (id < 0 || id > QM_TOKENIZER_MAX_ID)
        return qm_fail(err, QUAMBA_E_FORMAT, 0, "\"%.*s\" has id %" PRId64 ", must be in 0 .. %d",
                       n < 100 ? (int)n : 100, spelled, id, QM_TOKENIZER_MAX_ID);
    size_t at = (size_t)id;
    if (at < v->n && v->flags[at])
        return qm_fail(err, QUAMBA_E_FORMAT, at, "id %" PRId64 " is given twice", id);
    if (!qm_grow(&v->begin, &v->capacity_begin, at + 1, sizeof *v->begin) ||
        !qm_grow(&v->length, &v->capacity_length, at + 1, sizeof *v->length) ||
        !qm_grow(&v->flags, &v->capacity_flags, at + 1, sizeof *v->flags))
        return qm_fail_memory(err, at + 1, "the vocabulary");
    if (at >= v->n) {
        memset(v->begin + v->n, 0, (at + 1 - v->n) * sizeof *v->begin);
        memset(v->length + v->n, 0, (at + 1 - v->n) * sizeof *v->length);
        memset(v->flags + v->n, 0, at + 1 - v->n);
        v->n = at + 1;
    }
    size_t begin = v->pool.size;
    bool only_added = (flags & QM_PIECE_ADDED) != 0;
    if (only_added || !qm_vocab_unspell(&v->pool, spelled, n)) {
        qm_text_add(&v->pool, spelled, n);
        flags |= QM_PIECE_RAW;
    }
    if (v->pool.failed) return qm_fail_memory(err, begin + n, "the vocabulary");
    v->begin[at] = (uint32_t)begin; /* the file is smaller than 4 GiB */
    v->length[at] = (uint32_t)(v->pool.size - begin);
    v->flags[at] = flags | QM_PIECE_PRESENT;
    return QUAMBA_OK;
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t slot_of(const qm_vocab *v, const char *bytes, size_t n, uint8_t raw)
{
    uint64_t hash = 0xCBF29CE484222325U ^ raw; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001B3U;
    size_t mask = v->n_slots - 1;
    for (size_t at = (size_t)(hash ^ hash >> 32) & mask;; at = (at + 1) & mask) {
        int32_t id = v->slots[at];
        if (id < 0 || (v->length[id] == n && (v->flags[id] & QM_PIECE_RAW) == raw &&
                       memcmp(v->pool.data + v->begin[id], bytes, n) == 0))
            return at;
    }
}

quamba_status qm_vocab_index(qm_vocab *v, quamba_error *err)
{
    size_t n_slots = 64;
    while (n_slots < 2 * v->n)
        n_slots *= 2;
    free(v->slots);
    v->slots = malloc(n_slots * sizeof *v->slots);
    v->n_slots = n_slots;
    if (!v->slots) {
        v->n_slots = 0;
        return qm_fail_memory(err, n_slots * sizeof *v->slots, "the vocabulary");
    }
    for (size_t i = 0; i < n_slots; i++)
        v->slots[i] = -1;
    for (int i = 0; i < 256; i++)
        v->byte_id[i] = -1;
    for (size_t id = 0; id < v->n; id++) {
        if (!v->flags[id]) continue;
        const char *bytes = v->pool.data ? v->pool.data + v->begin[id] : "";
        size_t at = slot_of(v, bytes, v->length[id], v->flags[id] & QM_PIECE_RAW);
        if (v->slots[at] >= 0)
            return qm_fail(err, QUAMBA_E_FORMAT, id, "ids %" PRId32 " and %zu are the same token",
                           v->slots[at], id);
        v->slots[at] = (int32_t)id;
        if (v->length[id] == 1 && !(v->flags[id] & QM_PIECE_RAW))
            v->byte_id[(unsigned char)bytes[0]] = (int32_t)id;
    }
    return QUAMBA_OK;
}

int32_t qm_vocab_find(const qm_vocab *v, const char *bytes, size_t n, uint8_t raw)
{
    return v->n_slots > 0 ? v->slots[slot_of(v, bytes, n, raw)] : -1;
}

quamba_status qm_vocab_find_spelled(const qm_vocab *v, const char *spelled, size_t n, int32_t *id,
                                    quamba_error *err)
{
    qm_text bytes = {0};
    bool in_alphabet = qm_vocab_unspell(&bytes, spelled, n);
    if (bytes.failed) return qm_fail_memory(err, n, "a token");
    *id = in_alphabet ? qm_vocab_find(v, bytes.data, bytes.size, 0)
                      : qm_vocab_find(v, spelled, n, QM_PIECE_RAW);
    qm_text_free(&bytes);
    return QUAMBA_OK;
}

void qm_vocab_free(qm_vocab *v)
{
    qm_text_free(&v->pool);
    free(v->begin);
    free(v->length);
    free(v->flags);
    free(v->slots);
    *v = (qm_vocab){0};
}
