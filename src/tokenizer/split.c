#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/tokenizer.h"

#include "base/mem.h"

#include <inttypes.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct qm_split {
    pcre2_code *code;
    qm_split_behavior behavior;
    bool invert;
};

struct qm_split_run {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static quamba_status fail_pcre2(quamba_error *err, quamba_status status, int code, const char *what,
                                size_t offset)
{
    char why[160] = "unknown error";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED) status = QUAMBA_E_NOMEM;
    return qm_fail(err, status, offset, "%s: %s (at byte %zu)", what, why, offset);
}

quamba_status qm_split_new(qm_split **split, const char *pattern, size_t n, bool literal,
                           qm_split_behavior behavior, bool invert, quamba_error *err)
{
    enum { MAX_PATTERN = 1 << 16 };
    *split = NULL;
    if (n > MAX_PATTERN)
        return qm_fail(err, QUAMBA_E_LIMIT, 0, "pattern of %zu bytes, at most %d", n, MAX_PATTERN);
    qm_split *s = qm_alloc(1, sizeof *s);
    if (!s) return qm_fail_memory(err, sizeof *s, "a pattern");
    *s = (qm_split){.behavior = behavior, .invert = invert};
    /* MULTILINE because ^ and $ are those of lines in the reference's expressions. */
    uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL
                               : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    int code;
    size_t offset;
    s->code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &code, &offset, NULL);
    if (!s->code) {
        free(s);
        return fail_pcre2(err, QUAMBA_E_FORMAT, code, "pattern", offset);
    }
    /* Where the system forbids machine code at run time, the interpreter does the same work. */
    (void)pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE);
    *split = s;
    return QUAMBA_OK;
}

/* The reference's \s is White_Space of Unicode; PCRE2's has U+180E too.  Its \p{L} and \p{N} are
 * those of Unicode 16; what PCRE2 10.42 (Unicode 14) does not know yet is spelled out. */
#define SPACE                                                                                      \
    "\\x{9}-\\x{D} \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}"          \
    "\\x{205F}\\x{3000}"
#define LETTER                                                                                     \
    "\\p{L}\\x{1C89}-\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}"         \
    "\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}-\\x{11240}"         \
    "\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}\\x{113D3}" \
    "\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}\\x{1342F}"          \
    "\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}\\x{16D40}-\\x{16D6C}"         \
    "\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{"      \
    "1E4EB}"                                                                                       \
    "\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NUMBER                                                                                     \
    "\\p{N}\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F50}-\\x{11F59}"   \
    "\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}\\x{1D2C0}-\\x{1D2D3}"         \
    "\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"

quamba_status qm_split_new_gpt2(qm_split **split, quamba_error *err)
{
    static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTER "]+| ?[" NUMBER "]+"
                                  "| ?[^" SPACE LETTER NUMBER "]+"
                                  "|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";
    return qm_split_new(split, pattern, sizeof pattern - 1, false, QM_SPLIT_ISOLATED, false, err);
}

void qm_split_free(qm_split **split)
{
    if (*split) pcre2_code_free((*split)->code);
    free(*split);
    *split = NULL;
}

qm_split_run *qm_split_run_new(void)
{
    qm_split_run *run = qm_alloc(1, sizeof *run);
    if (!run) return NULL;
    run->data = pcre2_match_data_create(1, NULL);
    run->context = pcre2_match_context_create(NULL);
    if (!run->data || !run->context) qm_split_run_free(&run);
    return run;
}

void qm_split_run_free(qm_split_run **run)
{
    if (!*run) return;
    pcre2_match_data_free((*run)->data);
    pcre2_match_context_free((*run)->context);
    free(*run);
    *run = NULL;
}

/* The first match from offset on; *found false when there is none.  Machine code works on a stack
 * of fixed size; where that is too small the interpreter, which takes memory as it needs it, does
 * the match again.  The match limit keeps an exponential expression from running for ever; it grows
 * with the text so that an ordinary one never meets it. */
static quamba_status find(const qm_split *split, qm_split_run *run, const char *text, size_t n,
                          size_t offset, bool *found, size_t *begin, size_t *end, quamba_error *err)
{
    int code = pcre2_match(split->code, (PCRE2_SPTR)text, n, offset, PCRE2_NO_UTF_CHECK, run->data,
                           run->context);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(split->code, (PCRE2_SPTR)text, n, offset,
                           PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, run->data, run->context);
    *found = code >= 0;
    if (code == PCRE2_ERROR_NOMATCH) return QUAMBA_OK;
    if (code < 0)
        return fail_pcre2(err, QUAMBA_E_LIMIT, code, "the pre-tokenizer's expression", offset);
    const size_t *bounds = pcre2_get_ovector_pointer(run->data);
    *begin = bounds[0];
    *end = bounds[1];
    if (*begin < offset || *end < *begin)
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "the pre-tokenizer's expression moves the beginning of its match (\\K)");
    return QUAMBA_OK;
}

/* Puts the pieces that matches cut a text into together, as the behaviour wants it. */
typedef struct joiner {
    const qm_split *split;
    const char *text;
    size_t begin, end; /* the part not handed out yet */
    bool pending, last_matched;
    qm_split_part *part;
    void *user;
} joiner;

static quamba_status hand_out(joiner *j, quamba_error *err)
{
    bool any = j->pending && j->end > j->begin;
    j->pending = false;
    return any ? j->part(j->user, j->text + j->begin, j->end - j->begin, err) : QUAMBA_OK;
}

static quamba_status join(joiner *j, size_t begin, size_t end, bool matched, quamba_error *err)
{
    matched = matched != j->split->invert;
    bool joined = false;
    switch (j->split->behavior) {
    case QM_SPLIT_REMOVED:
        if (matched) return QUAMBA_OK;
        break;
    case QM_SPLIT_ISOLATED:
        break;
    case QM_SPLIT_MERGED_WITH_PREVIOUS:
        joined = matched && !j->last_matched;
        break;
    case QM_SPLIT_MERGED_WITH_NEXT:
        joined = !matched && j->last_matched;
        break;
    case QM_SPLIT_CONTIGUOUS:
        joined = matched == j->last_matched;
        break;
    }
    j->last_matched = matched;
    if (joined && j->pending) {
        j->end = end;
        return QUAMBA_OK;
    }
    quamba_status status = hand_out(j, err);
    j->begin = begin;
    j->end = end;
    j->pending = true;
    return status;
}

quamba_status qm_split_text(const qm_split *split, qm_split_run *run, const char *text, size_t n,
                            qm_split_part *part, void *user, quamba_error *err)
{
    enum { LEAST_LIMIT = 10000000 };
    size_t limit = n < UINT32_MAX / 32 - LEAST_LIMIT ? LEAST_LIMIT + 16 * n : UINT32_MAX;
    pcre2_set_match_limit(run->context, (uint32_t)limit);
    joiner j = {.split = split, .text = text, .part = part, .user = user};
    size_t done = 0;  /* end of the last match */
    bool any = false; /* there was one */
    for (size_t at = 0; at <= n;) {
        bool found;
        size_t begin, end;
        quamba_status status = find(split, run, text, n, at, &found, &begin, &end, err);
        if (status != QUAMBA_OK) return status;
        if (!found) break;
        if (begin == end && any && begin == done) { /* an empty match right after a match */
            do
                at++;
            while (at < n && ((unsigned char)text[at] & 0xC0) == 0x80);
            continue;
        }
        if (begin > done) status = join(&j, done, begin, false, err);
        if (status == QUAMBA_OK) status = join(&j, begin, end, true, err);
        if (status != QUAMBA_OK) return status;
        at = done = end;
        any = true;
    }
    quamba_status status = QUAMBA_OK;
    if (done < n) status = join(&j, done, n, false, err);
    return status == QUAMBA_OK ? hand_out(&j, err) : status;
}
