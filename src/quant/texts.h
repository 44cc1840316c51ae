/* Texts to calibrate with, as token ids. */
#ifndef QM_QUANT_TEXTS_H
#define QM_QUANT_TEXTS_H

#include "base/status.h"

typedef struct qm_texts {
    int32_t *ids;  /* of all texts, one after the other; owned, qm_texts_free */
    size_t *begin; /* [n + 1]: text i has ids begin[i] .. begin[i + 1], at least one */
    size_t n;
} qm_texts;

/* Reads at most n_texts texts of at most n_tokens tokens each, in file order.  A path that ends in
 * .jsonl (or .json): lines, each an object whose "text" is one text, cut after its first n_tokens
 * tokens; blank lines and texts without a token are passed over and do not count.  Any other file
 * is one plain text, cut into pieces of n_tokens tokens.  No token is put in front of a text.  A
 * file without any token is E_FORMAT; errors name the file and the line. */
quamba_status qm_texts_read(qm_texts *texts, const char *path, const quamba_tokenizer *tokenizer,
                            size_t n_texts, size_t n_tokens, quamba_error *err);

/* The same for size bytes that name describes; jsonl: lines of objects. */
quamba_status qm_texts_parse(qm_texts *texts, const char *name, const char *data, size_t size,
                             bool jsonl, const quamba_tokenizer *tokenizer, size_t n_texts,
                             size_t n_tokens, quamba_error *err);

void qm_texts_free(qm_texts *texts);

/* Hash of the first n texts' ids, the same on every machine. */
uint64_t qm_texts_hash(const qm_texts *texts, size_t n);

#endif
