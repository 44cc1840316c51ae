#include "quant/texts.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    qm_texts *texts;
    const quamba_tokenizer *tokenizer;
    size_t ids_capacity, begin_capacity;
    size_t n_texts, n_tokens;
    quamba_error *err;
} reading;

static quamba_status add_text(reading *r, const int32_t *ids, size_t n)
{
    qm_texts *t = r->texts;
    const size_t at = t->begin[t->n];
    if (n == 0) return QUAMBA_OK;
    if (!qm_grow(&t->ids, &r->ids_capacity, at + n, sizeof *t->ids) ||
        !qm_grow(&t->begin, &r->begin_capacity, t->n + 2, sizeof *t->begin))
        return qm_fail_memory(r->err, (at + n) * sizeof *t->ids, "the calibration texts");
    memcpy(t->ids + at, ids, n * sizeof *ids);
    t->begin[++t->n] = at + n;
    return QUAMBA_OK;
}

static quamba_status add_line(reading *r, const char *line, size_t size)
{
    json_t *value = NULL;
    quamba_status status = qm_json_parse_text(&value, line, size, r->err);
    const json_t *text = json_object_get(value, "text");
    if (status == QUAMBA_OK && !json_is_string(text))
        status =
            qm_fail(r->err, QUAMBA_E_FORMAT, 0, "must be a JSON object with a string \"text\"");
    int32_t *ids = NULL;
    size_t n = 0;
    if (status == QUAMBA_OK)
        status = quamba_tokenizer_encode(r->tokenizer, json_string_value(text),
                                         json_string_length(text), &ids, &n, r->err);
    if (status == QUAMBA_OK) status = add_text(r, ids, n < r->n_tokens ? n : r->n_tokens);
    quamba_free(ids);
    json_decref(value);
    return status;
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    return true;
}

static quamba_status read_lines(reading *r, const char *name, const char *data, size_t size)
{
    quamba_status status = QUAMBA_OK;
    size_t line = 0;
    for (size_t at = 0, next; at < size && r->texts->n < r->n_texts; at = next) {
        const char *feed = memchr(data + at, '\n', size - at);
        const size_t end = feed ? (size_t)(feed - data) : size;
        next = end + 1;
        line++;
        if (is_blank(data + at, end - at)) continue;
        status = add_line(r, data + at, end - at);
        if (status == QUAMBA_OK) continue;
        char where[400];
        snprintf(where, sizeof where, "%.360s:%zu", name, line);
        if (r->err) r->err->position = line;
        return qm_fail_in(r->err, status, where);
    }
    return status;
}

static quamba_status read_pieces(reading *r, const char *name, const char *data, size_t size)
{
    int32_t *ids = NULL;
    size_t n = 0;
    quamba_status status = quamba_tokenizer_encode(r->tokenizer, data, size, &ids, &n, r->err);
    if (status != QUAMBA_OK) qm_fail_in(r->err, status, name);
    for (size_t at = 0; at < n && r->texts->n < r->n_texts && status == QUAMBA_OK;
         at += r->n_tokens)
        status = add_text(r, ids + at, n - at < r->n_tokens ? n - at : r->n_tokens);
    quamba_free(ids);
    return status;
}

quamba_status qm_texts_parse(qm_texts *texts, const char *name, const char *data, size_t size,
                             bool jsonl, const quamba_tokenizer *tokenizer, size_t n_texts,
                             size_t n_tokens, quamba_error *err)
{
    reading r = {.texts = texts,
                 .tokenizer = tokenizer,
                 .n_texts = n_texts,
                 .n_tokens = n_tokens,
                 .err = err};
    *texts = (qm_texts){0};
    quamba_status status = QUAMBA_OK;
    if (!qm_grow(&texts->begin, &r.begin_capacity, 1, sizeof *texts->begin))
        status = qm_fail_memory(err, sizeof *texts->begin, "the calibration texts");
    else
        texts->begin[0] = 0;
    if (status == QUAMBA_OK)
        status = jsonl ? read_lines(&r, name, data, size) : read_pieces(&r, name, data, size);
    if (status == QUAMBA_OK && texts->n == 0)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0, "%.400s: holds no text to calibrate with", name);
    if (status != QUAMBA_OK) qm_texts_free(texts);
    return status;
}

static bool has_ending(const char *path, const char *ending)
{
    const size_t n = strlen(path), k = strlen(ending);
    return n >= k && strcmp(path + n - k, ending) == 0;
}

quamba_status qm_texts_read(qm_texts *texts, const char *path, const quamba_tokenizer *tokenizer,
                            size_t n_texts, size_t n_tokens, quamba_error *err)
{
    qm_map map;
    *texts = (qm_texts){0};
    quamba_status status = qm_map_open(&map, path, err);
    if (status != QUAMBA_OK) return status;
    const bool jsonl = has_ending(path, ".jsonl") || has_ending(path, ".json");
    status = qm_texts_parse(texts, path, (const char *)map.data, map.size, jsonl, tokenizer,
                            n_texts, n_tokens, err);
    qm_map_close(&map);
    return status;
}

void qm_texts_free(qm_texts *texts)
{
    free(texts->ids);
    free(texts->begin);
    *texts = (qm_texts){0};
}

uint64_t qm_texts_hash(const qm_texts *texts, size_t n)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t count = texts->begin[i + 1] - texts->begin[i];
        hash = qm_hash64(NULL, 0, hash + count); /* numbers as seeds: their bytes have an order */
        for (size_t k = 0; k < count; k++) {
            const uint32_t id = (uint32_t)texts->ids[texts->begin[i] + k];
            const uint8_t bytes[4] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16),
                                      (uint8_t)(id >> 24)};
            hash = qm_hash64(bytes, sizeof bytes, hash);
        }
    }
    return hash;
}
