#include "eval/score.h"

#include <stdlib.h>
#include <string.h>

/* The character that ends before text[size], or -1 for what is not UTF-8; *begin is where it
 * starts. */
static int32_t last_char(const char *text, size_t size, size_t *begin)
{
    size_t at = size - 1;
    while (at > 0 && size - at < 3 && ((unsigned char)text[at] & 0xc0u) == 0x80u)
        at--;
    *begin = at;
    unsigned char lead = (unsigned char)text[at];
    size_t n = size - at;
    if (n == 1) return lead < 0x80 ? lead : -1;
    unsigned char second = (unsigned char)text[at + 1];
    if (n == 2) return (lead & 0xe0u) == 0xc0u ? (lead & 0x1f) << 6 | (second & 0x3f) : -1;
    if ((lead & 0xf0u) != 0xe0u) return -1;
    return (lead & 0x0f) << 12 | (second & 0x3f) << 6 | ((unsigned char)text[at + 2] & 0x3f);
}

/* What Python's str.rstrip takes for a blank; none has more than three bytes. */
static bool is_blank(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

size_t qm_trim_context(const char *context, size_t size)
{
    while (size > 0) {
        size_t begin;
        if (!is_blank(last_char(context, size, &begin))) break;
        size = begin;
    }
    return size;
}

quamba_status qm_context_count(const quamba_tokenizer *tokenizer, const char *context, size_t size,
                               size_t *n_tokens, quamba_error *err)
{
    int32_t *ids = NULL;
    *n_tokens = 0;
    size_t trimmed = qm_trim_context(context, size);
    if (trimmed == 0) return QUAMBA_OK;
    quamba_status status =
        quamba_tokenizer_encode(tokenizer, context, trimmed, &ids, n_tokens, err);
    quamba_free(ids);
    return status;
}

/* Puts the end-of-text token in front of ids. */
static quamba_status add_end_token(int32_t **ids, size_t *n_ids, const quamba_tokenizer *tokenizer,
                                   quamba_error *err)
{
    int32_t end = quamba_tokenizer_end_id(tokenizer);
    if (end < 0)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "there is no context, and the tokenizer has no end-of-text token to stand "
                       "for it");
    int32_t *longer = malloc((*n_ids + 1) * sizeof **ids);
    if (!longer) return qm_fail_memory(err, (*n_ids + 1) * sizeof **ids, "tokens");
    longer[0] = end;
    memcpy(longer + 1, *ids, *n_ids * sizeof **ids);
    quamba_free(*ids);
    *ids = longer;
    ++*n_ids;
    return QUAMBA_OK;
}

quamba_status qm_sequence_encode(qm_sequence *sequence, const quamba_tokenizer *tokenizer,
                                 const char *text, size_t size, size_t n_context, quamba_error *err)
{
    int32_t *ids = NULL;
    size_t n_ids = 0;
    *sequence = (qm_sequence){0};
    quamba_status status = quamba_tokenizer_encode(tokenizer, text, size, &ids, &n_ids, err);
    if (status == QUAMBA_OK && n_context == 0) {
        status = add_end_token(&ids, &n_ids, tokenizer, err);
        n_context = 1;
    }
    if (status == QUAMBA_OK && n_ids <= n_context)
        status = qm_fail(err, QUAMBA_E_FORMAT, 0,
                         "nothing is left to score: the tokenizer merges the continuation into the "
                         "context's %zu tokens",
                         n_context);
    if (status == QUAMBA_OK && n_ids - n_context > QM_MAX_TOKENS)
        status = qm_fail(err, QUAMBA_E_LIMIT, 0,
                         "the continuation has %zu tokens, more than the %d that are scored",
                         n_ids - n_context, QM_MAX_TOKENS);
    if (status != QUAMBA_OK) {
        quamba_free(ids);
        return status;
    }
    size_t n_scored = n_ids - n_context;
    if (n_ids > QM_MAX_TOKENS + 1) {
        memmove(ids, ids + (n_ids - QM_MAX_TOKENS - 1), (QM_MAX_TOKENS + 1) * sizeof *ids);
        n_ids = QM_MAX_TOKENS + 1;
    }
    *sequence = (qm_sequence){.ids = ids, .n_ids = n_ids, .n_scored = n_scored};
    return QUAMBA_OK;
}

size_t qm_shared_prefix(const qm_sequence *sequences, size_t n)
{
    if (n < 2) return 0;
    size_t prefix = SIZE_MAX;
    for (size_t i = 0; i < n; i++) { /* the last context token's logits are scored */
        size_t unscored = sequences[i].n_ids - sequences[i].n_scored - 1;
        if (unscored < prefix) prefix = unscored;
    }
    for (size_t i = 1; i < n; i++) {
        size_t k = 0;
        while (k < prefix && sequences[i].ids[k] == sequences[0].ids[k])
            k++;
        prefix = k;
    }
    return prefix;
}
