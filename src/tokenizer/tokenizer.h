/* Byte-level BPE as Hugging Face's tokenizers library runs it, id for id:
 *
 *   text -> cut out added tokens with "normalized": false -> normalise what is left -> cut out the
 *   other added tokens -> cut into words (pre-tokenizer) -> bytes -> merges -> ids
 *
 * load.c reads tokenizer.json, vocab.c holds pieces and their look-up, added.c finds added tokens,
 * normalize.c and split.c prepare text, bpe.c merges, tokenizer.c strings these together.
 *
 * Known differences from tokenizers 0.23, compared on 120,000 strings with the tokenizers of NeoX
 * and the demo (none) and on 18,000 with random normalizers, splits and added tokens:
 *   - an expression in a "Split" runs in PCRE2, so \b and \w leave out combining marks, \s has
 * U+180E, and \p{..} knows the Unicode of the installed PCRE2 (split.c makes ByteLevel's own
 * independent of that);
 *   - an added token decodes to its content as the file spells it; the reference reads a content
 * like
 *     "\u00e9" that happens to be of the byte alphabet as bytes, and gives the normal form of
 * tokens that are looked for in normalised text;
 *   - ids of added tokens are the file's; the reference renumbers those it does not expect. */
#ifndef QM_TOKENIZER_TOKENIZER_H
#define QM_TOKENIZER_TOKENIZER_H

#include "base/text.h"

enum {
    QM_TOKENIZER_MAX_ID = (1 << 22) - 1, /* arrays are sized by the largest id of a hostile file */
    QM_TOKENIZER_MAX_STEPS = 8,          /* normalizers, and splits of the pre-tokenizer */
    QM_ADDED_MAX_BYTES = 4096 /* of one added token; bounds the search per byte of text */
};

/* What an id is. */
enum {
    QM_PIECE_PRESENT = 1,
    QM_PIECE_RAW = 2, /* spelled literally; else the file spells it in the byte alphabet */
    QM_PIECE_ADDED = 4,
    QM_PIECE_SPECIAL = 8,
    QM_PIECE_LSTRIP = 16,
    QM_PIECE_RSTRIP = 32,
    QM_PIECE_SINGLE_WORD = 64,
    QM_PIECE_NORMALIZED = 128
};

/* Growing ids; zero-initialise. */
typedef struct qm_ids {
    int32_t *data; /* owned */
    size_t size, capacity;
} qm_ids;

bool qm_ids_add(qm_ids *ids, int32_t id); /* false without memory */

/* ---- vocab.c: pieces ------------------------------------------------------------------------ */

typedef struct qm_vocab {
    qm_text pool;     /* bytes of all pieces */
    uint32_t *begin;  /* [n] into pool */
    uint32_t *length; /* [n] */
    uint8_t *flags;   /* [n]; 0 is a hole */
    size_t n, capacity_begin, capacity_length, capacity_flags;
    int32_t *slots; /* open addressing by bytes and QM_PIECE_RAW; -1 is free */
    size_t n_slots; /* power of two, or 0 before qm_vocab_index */
    int32_t byte_id[256];
} qm_vocab;

/* Bytes of a token spelled in the byte alphabet, appended to out; false, nothing appended, when a
 * character is not of it.  Without memory out->failed is set. */
bool qm_vocab_unspell(qm_text *out, const char *spelled, size_t n);

/* Enters a piece that the file spells so; added tokens that the vocabulary lacks are raw. */
quamba_status qm_vocab_add(qm_vocab *vocab, const char *spelled, size_t n, int64_t id,
                           uint8_t flags, quamba_error *err);

/* Enters what was added so far into the look-up; two ids with one spelling are refused. */
quamba_status qm_vocab_index(qm_vocab *vocab, quamba_error *err);

/* Id of the piece of these bytes, raw (QM_PIECE_RAW) or not (0); -1. */
int32_t qm_vocab_find(const qm_vocab *vocab, const char *bytes, size_t n, uint8_t raw);

/* The same for a token of the vocabulary as the file spells it. */
quamba_status qm_vocab_find_spelled(const qm_vocab *vocab, const char *spelled, size_t n,
                                    int32_t *id, quamba_error *err);

void qm_vocab_free(qm_vocab *vocab);

/* ---- bpe.c: merges -------------------------------------------------------------------------- */

typedef struct qm_merge {
    int32_t left, right; /* left -1: a free slot */
    uint32_t rank;
} qm_merge;

typedef struct qm_bpe {
    qm_merge *slots; /* open addressing by (left, right) */
    size_t n_slots;  /* power of two */
    int32_t *result; /* [n]: id that the merge of this rank makes */
    size_t n;
} qm_bpe;

/* Room for n merges. */
quamba_status qm_bpe_init(qm_bpe *bpe, size_t n, quamba_error *err);

/* Enters the merge of this rank; of two merges of one pair the later one counts. */
void qm_bpe_add(qm_bpe *bpe, int32_t left, int32_t right, uint32_t rank, int32_t result);
void qm_bpe_free(qm_bpe *bpe);

typedef struct qm_bpe_symbol {
    int32_t id;
    uint32_t rank, previous, next;
} qm_bpe_symbol;

/* Working memory for long words, kept from word to word; zero-initialise. */
typedef struct qm_bpe_scratch {
    qm_bpe_symbol *symbols; /* owned */
    uint64_t *heap;         /* owned */
    size_t symbols_capacity, heap_size, heap_capacity;
} qm_bpe_scratch;

void qm_bpe_scratch_free(qm_bpe_scratch *scratch);

/* Appends the ids of one word of n bytes, n < 2^31, whose bytes all have an id. */
quamba_status qm_bpe_word(const qm_bpe *bpe, const int32_t byte_id[256], qm_bpe_scratch *scratch,
                          const char *word, size_t n, qm_ids *out, quamba_error *err);

/* ---- added.c: tokens that are cut out of the text ------------------------------------------- */

typedef struct qm_trie_node {
    uint32_t child, sibling; /* 0: none */
    int32_t id;              /* -1: no token ends here */
    char byte;
} qm_trie_node;

typedef struct qm_added {
    qm_trie_node *nodes; /* owned; nodes[0] is the root once anything was added */
    size_t n, capacity;
    uint32_t first[256];  /* child of the root by its byte */
    const uint8_t *flags; /* of the vocabulary, borrowed */
} qm_added;

/* Adds a token; of two tokens with the same text the first counts. */
quamba_status qm_added_add(qm_added *added, const char *text, size_t n, int32_t id,
                           quamba_error *err);
void qm_added_free(qm_added *added);

/* One way through a text. */
typedef struct qm_added_cursor {
    const char *text;
    size_t n, search, done; /* search: where the next match may begin; done: end of what was cut */
    int32_t token;          /* a token found behind the stretch just handed out, or -1 */
    size_t token_begin, token_end;
} qm_added_cursor;

qm_added_cursor qm_added_start(const char *text, size_t n);

/* The next cut in *text, *n: an added token (*id) or a stretch without one (*id -1, not empty).
 * False at the end. */
bool qm_added_next(const qm_added *added, qm_added_cursor *cursor, int32_t *id, const char **text,
                   size_t *n);

/* ---- normalize.c ---------------------------------------------------------------------------- */

typedef enum qm_norm { QM_NFC, QM_NFD, QM_NFKC, QM_NFKD } qm_norm;

/* Appends the normal form of valid UTF-8 to out. */
quamba_status qm_normalize(qm_norm form, const char *text, size_t n, qm_text *out,
                           quamba_error *err);

/* True when the text is in every normal form because of its characters alone (ASCII is). */
bool qm_normalize_idle(qm_norm form, const char *text, size_t n);

/* ---- split.c: the pre-tokenizer's expressions ------------------------------------------------ */

typedef struct qm_split qm_split;

#define QM_SPLIT_BEHAVIORS(X)                                                                      \
    X(REMOVED, "Removed")                                                                          \
    X(ISOLATED, "Isolated")                                                                        \
    X(MERGED_WITH_PREVIOUS, "MergedWithPrevious")                                                  \
    X(MERGED_WITH_NEXT, "MergedWithNext")                                                          \
    X(CONTIGUOUS, "Contiguous")

typedef enum qm_split_behavior {
#define QM_SPLIT_ENUM(name, text) QM_SPLIT_##name,
    QM_SPLIT_BEHAVIORS(QM_SPLIT_ENUM)
#undef QM_SPLIT_ENUM
} qm_split_behavior;

/* Compiles an expression, or literal text to look for. */
quamba_status qm_split_new(qm_split **split, const char *pattern, size_t n, bool literal,
                           qm_split_behavior behavior, bool invert, quamba_error *err);

/* GPT-2's expression, which ByteLevel uses: contractions, words, numbers, the rest, white space. */
quamba_status qm_split_new_gpt2(qm_split **split, quamba_error *err);
void qm_split_free(qm_split **split);

/* Called with every part of the text that is not empty, in order. */
typedef quamba_status qm_split_part(void *user, const char *text, size_t n, quamba_error *err);

/* Memory one thread needs to run any expression; freed by qm_split_run_free. */
typedef struct qm_split_run qm_split_run;
qm_split_run *qm_split_run_new(void); /* NULL without memory */
void qm_split_run_free(qm_split_run **run);

/* Cuts valid UTF-8 and hands the parts on. */
quamba_status qm_split_text(const qm_split *split, qm_split_run *run, const char *text, size_t n,
                            qm_split_part *part, void *user, quamba_error *err);

/* ---- the whole ------------------------------------------------------------------------------ */

struct quamba_tokenizer {
    qm_vocab vocab;
    qm_bpe bpe;
    qm_added raw, normalized; /* added tokens by the text they are looked for in */
    qm_norm norms[QM_TOKENIZER_MAX_STEPS];
    size_t n_norms;
    qm_split *splits[QM_TOKENIZER_MAX_STEPS];
    size_t n_splits;
    size_t byte_level; /* index of the step that is ByteLevel: a split, or n_splits */
    bool add_prefix_space;
    bool ignore_merges; /* a word that is a token becomes it without merging */
    int32_t end_id;
};

/* load.c: fills a zeroed tokenizer from the text of a tokenizer.json; what was filled before a
 * failure is the caller's to free. */
quamba_status qm_tokenizer_load(quamba_tokenizer *tokenizer, const char *json, size_t size,
                                quamba_error *err);

/* Opens a tokenizer.json that is in memory. */
quamba_status qm_tokenizer_parse(quamba_tokenizer **tokenizer, const char *json, size_t size,
                                 quamba_error *err);

#endif
