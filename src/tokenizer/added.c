#include "tokenizer/tokenizer.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

/* ---- the trie ------------------------------------------------------------------------------- */

static uint32_t child_of(const qm_added *added, uint32_t node, char byte)
{
    if (node == 0) return added->first[(unsigned char)byte];
    uint32_t child = added->nodes[node].child;
    while (child != 0 && added->nodes[child].byte != byte)
        child = added->nodes[child].sibling;
    return child;
}

quamba_status qm_added_add(qm_added *added, const char *text, size_t n, int32_t id,
                           quamba_error *err)
{
    if (added->n == 0) added->n = 1; /* 0 means "none", so the root's place stays unused */
    if (!qm_grow(&added->nodes, &added->capacity, added->n + n, sizeof *added->nodes))
        return qm_fail_memory(err, (added->n + n) * sizeof *added->nodes, "the added tokens");
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t child = child_of(added, node, text[i]);
        if (child == 0) {
            child = (uint32_t)added->n++;
            uint32_t *link =
                node == 0 ? &added->first[(unsigned char)text[i]] : &added->nodes[node].child;
            added->nodes[child] = (qm_trie_node){.sibling = *link, .id = -1, .byte = text[i]};
            *link = child;
        }
        node = child;
    }
    if (n > 0 && added->nodes[node].id < 0) added->nodes[node].id = id;
    return QUAMBA_OK;
}

void qm_added_free(qm_added *added)
{
    free(added->nodes);
    *added = (qm_added){0};
}

/* The longest token at the beginning of text, or -1. */
static int32_t longest(const qm_added *added, const char *text, size_t n, size_t *length)
{
    int32_t id = -1;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = child_of(added, node, text[i]);
        if (node == 0) break;
        if (added->nodes[node].id >= 0) {
            id = added->nodes[node].id;
            *length = i + 1;
        }
    }
    return id;
}

/* ---- what stands next to a token --------------------------------------------------------------
 */

/* White_Space of Unicode: \s of the reference. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* \w of the reference: Alphabetic, marks, decimal digits, connectors, joiners. */
static bool is_word(uint32_t c)
{
    if (c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
        (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
        (c >= 0x1F170 && c <= 0x1F189))
        return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

/* Length of the character that ends at text[n - 1], its number in *code; the text is valid. */
static size_t last_char(const char *text, size_t n, uint32_t *code)
{
    size_t size = 1;
    while (size < n && ((unsigned char)text[n - size] & 0xC0) == 0x80)
        size++;
    return qm_utf8_next(text + n - size, size, code);
}

static bool word_before(const char *text, size_t n)
{
    uint32_t code;
    return n > 0 && last_char(text, n, &code) > 0 && is_word(code);
}

static bool word_after(const char *text, size_t n)
{
    uint32_t code;
    return n > 0 && qm_utf8_next(text, n, &code) > 0 && is_word(code);
}

/* Begin of the white space that ends at text[end - 1], not before floor. */
static size_t spaces_before(const char *text, size_t floor, size_t end)
{
    uint32_t code;
    while (end > floor) {
        size_t size = last_char(text + floor, end - floor, &code);
        if (size == 0 || !is_space(code)) break;
        end -= size;
    }
    return end;
}

static size_t spaces_after(const char *text, size_t begin, size_t n)
{
    uint32_t code;
    while (begin < n) {
        size_t size = qm_utf8_next(text + begin, n - begin, &code);
        if (size == 0 || !is_space(code)) break;
        begin += size;
    }
    return begin;
}

/* ---- cutting ----------------------------------------------------------------------------------
 */

qm_added_cursor qm_added_start(const char *text, size_t n)
{
    return (qm_added_cursor){.text = text, .n = n, .token = -1};
}

/* The next token from c->search on: leftmost, of those the longest.  A match that single_word
 * rejects is passed over whole, as the reference does. */
static bool find_token(const qm_added *added, qm_added_cursor *c)
{
    for (size_t at = c->search; at < c->n; at++) {
        if (added->first[(unsigned char)c->text[at]] == 0) continue;
        size_t length = 0;
        int32_t id = longest(added, c->text + at, c->n - at, &length);
        if (id < 0) continue;
        size_t begin = at, end = at + length;
        uint8_t flags = added->flags[id];
        c->search = end;
        if ((flags & QM_PIECE_SINGLE_WORD) &&
            (word_before(c->text, begin) || word_after(c->text + end, c->n - end))) {
            at = c->search - 1;
            continue;
        }
        /* Spaces that rstrip took from the token before are not taken again; a token of nothing
         * else is not there any more. */
        if (flags & QM_PIECE_LSTRIP)
            begin = begin > c->done ? spaces_before(c->text, c->done, begin) : c->done;
        if (flags & QM_PIECE_RSTRIP)
            end = spaces_after(c->text, end > c->done ? end : c->done, c->n);
        if (begin >= end) {
            at = c->search - 1;
            continue;
        }
        c->token = id;
        c->token_begin = begin;
        c->token_end = end;
        return true;
    }
    c->search = c->n;
    return false;
}

bool qm_added_next(const qm_added *added, qm_added_cursor *c, int32_t *id, const char **text,
                   size_t *n)
{
    size_t stretch_end = c->n;
    if (c->token >= 0 || find_token(added, c)) stretch_end = c->token_begin;
    if (c->done < stretch_end) {
        *id = -1;
        *text = c->text + c->done;
        *n = stretch_end - c->done;
        c->done = stretch_end;
        return true;
    }
    if (c->token < 0) return false;
    *id = c->token;
    *text = c->text + c->token_begin;
    *n = c->token_end - c->token_begin;
    c->done = c->token_end;
    c->token = -1;
    return true;
}
