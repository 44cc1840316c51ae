#include "tokenizer/tokenizer.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

quamba_status qm_tokenizer_parse(quamba_tokenizer **tokenizer, const char *json, size_t size,
                                 quamba_error *err)
{
    *tokenizer = qm_alloc(1, sizeof **tokenizer);
    if (!*tokenizer) return qm_fail_memory(err, sizeof **tokenizer, "the tokenizer");
    quamba_status status = qm_tokenizer_load(*tokenizer, json, size, err);
    if (status != QUAMBA_OK) quamba_tokenizer_close(tokenizer);
    return status;
}

quamba_status quamba_tokenizer_open(quamba_tokenizer **tokenizer, const char *path,
                                    quamba_error *error)
{
    *tokenizer = NULL;
    char *inner = qm_path_is_dir(path) ? qm_path_join(path, "tokenizer.json")
                                       : qm_strndup(path, strlen(path));
    if (!inner) return qm_fail_memory(error, strlen(path), "a path");
    qm_map map;
    quamba_status status = qm_map_open(&map, inner, error);
    if (status == QUAMBA_OK) {
        status = qm_tokenizer_parse(tokenizer, (const char *)map.data, map.size, error);
        if (status != QUAMBA_OK) qm_fail_in(error, status, inner);
        qm_map_close(&map);
    }
    free(inner);
    return status;
}

void quamba_tokenizer_close(quamba_tokenizer **tokenizer)
{
    if (!tokenizer || !*tokenizer) return;
    quamba_tokenizer *t = *tokenizer;
    qm_vocab_free(&t->vocab);
    qm_bpe_free(&t->bpe);
    qm_added_free(&t->raw);
    qm_added_free(&t->normalized);
    for (size_t i = 0; i < t->n_splits; i++)
        qm_split_free(&t->splits[i]);
    free(t);
    *tokenizer = NULL;
}

/* ---- text to ids ------------------------------------------------------------------------------
 */

typedef struct encoder {
    const quamba_tokenizer *t;
    qm_split_run *run[QM_TOKENIZER_MAX_STEPS]; /* one for each split: they run inside each other */
    size_t step;                               /* of the pre-tokenizer */
    qm_bpe_scratch scratch;
    qm_text prefixed; /* a piece with a space put in front */
    qm_ids out;
} encoder;

static quamba_status add_id(encoder *e, int32_t id, quamba_error *err)
{
    if (qm_ids_add(&e->out, id)) return QUAMBA_OK;
    return qm_fail_memory(err, (e->out.size + 1) * sizeof id, "token ids");
}

static quamba_status encode_word(encoder *e, const char *word, size_t n, quamba_error *err)
{
    const quamba_tokenizer *t = e->t;
    if (t->ignore_merges) {
        int32_t id = qm_vocab_find(&t->vocab, word, n, 0);
        if (id >= 0) return add_id(e, id, err);
    }
    for (size_t i = 0; i < n; i++)
        if (t->vocab.byte_id[(unsigned char)word[i]] < 0)
            return qm_fail(err, QUAMBA_E_UNSUPPORTED, (unsigned char)word[i],
                           "the vocabulary has no token for byte 0x%02X", (unsigned char)word[i]);
    return qm_bpe_word(&t->bpe, t->vocab.byte_id, &e->scratch, word, n, &e->out, err);
}

/* One step of the pre-tokenizer on a piece, then the steps behind it on each of its parts. */
static quamba_status encode_piece(void *user, const char *text, size_t n, quamba_error *err)
{
    encoder *e = user;
    const quamba_tokenizer *t = e->t;
    size_t step = e->step;
    if (step == t->byte_level && t->add_prefix_space && text[0] != ' ') {
        e->prefixed.size = 0;
        qm_text_puts(&e->prefixed, " ");
        qm_text_add(&e->prefixed, text, n);
        if (e->prefixed.failed) return qm_fail_memory(err, n, "text");
        text = e->prefixed.data;
        n = e->prefixed.size;
    }
    e->step = step + 1;
    quamba_status status = step == t->n_splits ? encode_word(e, text, n, err)
                                               : qm_split_text(t->splits[step], e->run[step], text,
                                                               n, encode_piece, e, err);
    e->step = step;
    return status;
}

/* Normalised text without the added tokens that are looked for before. */
static quamba_status encode_normalized(encoder *e, const char *text, size_t n, quamba_error *err)
{
    qm_added_cursor cursor = qm_added_start(text, n);
    quamba_status status = QUAMBA_OK;
    int32_t id;
    while (status == QUAMBA_OK && qm_added_next(&e->t->normalized, &cursor, &id, &text, &n))
        status = id >= 0 ? add_id(e, id, err) : encode_piece(e, text, n, err);
    return status;
}

static quamba_status normalize_and_encode(encoder *e, const char *text, size_t n, quamba_error *err)
{
    const quamba_tokenizer *t = e->t;
    qm_text current = {0};
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; i < t->n_norms && status == QUAMBA_OK; i++) {
        if (qm_normalize_idle(t->norms[i], text, n)) continue;
        qm_text next = {0};
        status = qm_normalize(t->norms[i], text, n, &next, err);
        qm_text_free(&current);
        current = next;
        text = next.data;
        n = next.size;
    }
    if (status == QUAMBA_OK) status = encode_normalized(e, text, n, err);
    qm_text_free(&current);
    return status;
}

static quamba_status encode_valid(encoder *e, const char *text, size_t n, quamba_error *err)
{
    qm_added_cursor cursor = qm_added_start(text, n);
    quamba_status status = QUAMBA_OK;
    int32_t id;
    while (status == QUAMBA_OK && qm_added_next(&e->t->raw, &cursor, &id, &text, &n))
        status = id >= 0 ? add_id(e, id, err) : normalize_and_encode(e, text, n, err);
    return status;
}

/* A byte that is no text is a word of its own.  Vocabularies made from valid text only (NeoX's)
 * lack 13 bytes that never occur in it: those become U+FFFD, as in every text that such a model has
 * seen. */
static quamba_status encode_stray(encoder *e, const char *byte, quamba_error *err)
{
    bool known = e->t->vocab.byte_id[(unsigned char)*byte] >= 0;
    return known ? encode_word(e, byte, 1, err) : encode_word(e, "\xEF\xBF\xBD", 3, err);
}

/* Stretches of valid UTF-8 go through all steps, the bytes between them through none. */
static quamba_status encode(encoder *e, const char *text, size_t n, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    while (n > 0 && status == QUAMBA_OK) {
        size_t valid = qm_utf8_valid(text, n);
        if (valid > 0) status = encode_valid(e, text, valid, err);
        text += valid;
        n -= valid;
        size_t broken = n > 0 ? qm_utf8_broken(text, n) : 0;
        for (size_t i = 0; i < broken && status == QUAMBA_OK; i++)
            status = encode_stray(e, text + i, err);
        text += broken;
        n -= broken;
    }
    return status;
}

quamba_status quamba_tokenizer_encode(const quamba_tokenizer *tokenizer, const char *text,
                                      size_t n_bytes, int32_t **ids, size_t *n_ids,
                                      quamba_error *error)
{
    enum { MAX_BYTES = 1 << 30 }; /* positions in a word have 32 bits, normal forms are longer */
    *ids = NULL;
    *n_ids = 0;
    if (n_bytes > MAX_BYTES)
        return qm_fail(error, QUAMBA_E_LIMIT, n_bytes,
                       "text of %zu bytes: at most %d at once; cut it into parts", n_bytes,
                       MAX_BYTES);
    encoder e = {.t = tokenizer};
    quamba_status status = QUAMBA_OK;
    for (size_t i = 0; i < tokenizer->n_splits && status == QUAMBA_OK; i++) {
        e.run[i] = qm_split_run_new();
        if (!e.run[i]) status = qm_fail_memory(error, 1, "matching");
    }
    if (status == QUAMBA_OK && !qm_grow(&e.out.data, &e.out.capacity, 1, sizeof *e.out.data))
        status = qm_fail_memory(error, sizeof *e.out.data, "token ids");
    if (status == QUAMBA_OK) status = encode(&e, text, n_bytes, error);
    if (status == QUAMBA_OK) {
        *ids = e.out.data;
        *n_ids = e.out.size;
        e.out.data = NULL;
    }
    for (size_t i = 0; i < tokenizer->n_splits; i++)
        qm_split_run_free(&e.run[i]);
    qm_bpe_scratch_free(&e.scratch);
    qm_text_free(&e.prefixed);
    free(e.out.data);
    return status;
}

/* ---- ids to text ------------------------------------------------------------------------------
 */

quamba_status quamba_tokenizer_decode(const quamba_tokenizer *tokenizer, const int32_t *ids,
                                      size_t n_ids, bool skip_special, char **text, size_t *n_bytes,
                                      quamba_error *error)
{
    const qm_vocab *v = &tokenizer->vocab;
    qm_text out = {0};
    *text = NULL;
    *n_bytes = 0;
    for (size_t i = 0; i < n_ids; i++) {
        size_t n;
        const char *piece = quamba_tokenizer_piece(tokenizer, ids[i], &n);
        if (!piece) {
            qm_text_free(&out);
            return qm_fail(error, QUAMBA_E_ARGUMENT, i,
                           "id %" PRId32 " (number %zu) names no token; the vocabulary ends at %zu",
                           ids[i], i, v->n - 1);
        }
        if (skip_special && (v->flags[ids[i]] & QM_PIECE_SPECIAL)) continue;
        qm_text_add(&out, piece, n);
    }
    qm_text_add(&out, "", 0);
    if (out.failed) {
        qm_text_free(&out);
        return qm_fail_memory(error, n_ids, "text");
    }
    *text = out.data;
    *n_bytes = out.size;
    return QUAMBA_OK;
}

const char *quamba_tokenizer_piece(const quamba_tokenizer *tokenizer, int32_t id, size_t *n_bytes)
{
    const qm_vocab *v = &tokenizer->vocab;
    *n_bytes = 0;
    if (id < 0 || (size_t)id >= v->n || !v->flags[id]) return NULL;
    *n_bytes = v->length[id];
    return v->pool.data ? v->pool.data + v->begin[id] : "";
}

int32_t quamba_tokenizer_find(const quamba_tokenizer *tokenizer, const char *token)
{
    size_t n = strlen(token);
    int32_t id = qm_vocab_find(&tokenizer->vocab, token, n, QM_PIECE_RAW);
    return id >= 0 ? id : qm_vocab_find(&tokenizer->vocab, token, n, 0);
}

int32_t quamba_tokenizer_n_vocab(const quamba_tokenizer *tokenizer)
{
    return (int32_t)tokenizer->vocab.n;
}

int32_t quamba_tokenizer_end_id(const quamba_tokenizer *tokenizer) { return tokenizer->end_id; }
