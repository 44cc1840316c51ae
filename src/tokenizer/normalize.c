#include "tokenizer/tokenizer.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* The reference normalises by Unicode 9.  Characters that came later and have a combining class, a
 * decomposition or a part in a composition are to it ordinary characters, so they are to us, with
 * whatever version utf8proc has (found by comparing every character with tokenizers 0.23). */
static const struct {
    uint32_t low, high;
} younger[] = {
    {0x07FD,  0x07FD },
    {0x0898,  0x089F },
    {0x08CA,  0x08D3 },
    {0x09FE,  0x09FE },
    {0x0C3C,  0x0C3C },
    {0x0D3B,  0x0D3C },
    {0x0EBA,  0x0EBA },
    {0x1715,  0x1715 },
    {0x1ABF,  0x1ACE },
    {0x1DF6,  0x1DFA },
    {0x32FF,  0x32FF },
    {0xA7F2,  0xA7F4 },
    {0xA82C,  0xA82C },
    {0xAB69,  0xAB69 },
    {0x10781, 0x107BA},
    {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC},
    {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50},
    {0x10F82, 0x10F85},
    {0x11070, 0x11070},
    {0x1133B, 0x1133B},
    {0x1145E, 0x1145E},
    {0x11839, 0x1183A},
    {0x11930, 0x11943},
    {0x119E0, 0x119E0},
    {0x11A34, 0x11A34},
    {0x11A47, 0x11A47},
    {0x11A99, 0x11A99},
    {0x11D42, 0x11D42},
    {0x11D44, 0x11D45},
    {0x11D97, 0x11D97},
    {0x11F41, 0x11F42},
    {0x16FF0, 0x16FF1},
    {0x1E030, 0x1E06D},
    {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE},
    {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF},
    {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9},
};

static bool is_younger(uint32_t c)
{
    size_t low = 0, high = QM_COUNT(younger);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (younger[middle].high < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < QM_COUNT(younger) && c >= younger[low].low;
}

/* Characters below this stay as they are and never join the one before them. */
static uint32_t idle_below(qm_norm form)
{
    static const uint32_t limits[] = {
        [QM_NFC] = 0x300, [QM_NFD] = 0xC0, [QM_NFKC] = 0xA0, [QM_NFKD] = 0xA0};
    return limits[form];
}

bool qm_normalize_idle(qm_norm form, const char *text, size_t n)
{
    uint32_t limit = idle_below(form);
    for (size_t i = 0; i < n;) {
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t code;
        size_t size = qm_utf8_next(text + i, n - i, &code);
        if (size == 0 || code >= limit) return false;
        i += size;
    }
    return true;
}

/* Characters of one stretch between places where nothing can join, while it is worked on. */
typedef struct stretch {
    utf8proc_int32_t *codes; /* owned */
    size_t n, capacity;
    utf8proc_int32_t *sorted; /* owned */
    size_t sorted_capacity;
} stretch;

static unsigned class_of(utf8proc_int32_t code)
{
    return (unsigned)utf8proc_get_property(code)->combining_class;
}

/* Canonical order of codes[n], all marks: a counting sort by class.  utf8proc's own exchanges
 * neighbours, which takes the square of the length of a hostile run of marks. */
static bool sort_marks(stretch *s, utf8proc_int32_t *codes, size_t n)
{
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++)
        sorted = class_of(codes[i - 1]) <= class_of(codes[i]);
    if (sorted) return true;
    if (!qm_grow(&s->sorted, &s->sorted_capacity, n, sizeof *s->sorted)) return false;
    size_t place[257] = {0};
    for (size_t i = 0; i < n; i++)
        place[(class_of(codes[i]) & 255) + 1]++;
    for (size_t i = 1; i < QM_COUNT(place); i++)
        place[i] += place[i - 1];
    for (size_t i = 0; i < n; i++)
        s->sorted[place[class_of(codes[i]) & 255]++] = codes[i];
    memcpy(codes, s->sorted, n * sizeof *codes);
    return true;
}

static bool decompose(stretch *s, uint32_t code, utf8proc_option_t options)
{
    enum { MOST = 32 }; /* the longest decomposition has 18 */
    int last_boundclass = 0;
    if (!qm_grow(&s->codes, &s->capacity, s->n + MOST, sizeof *s->codes)) return false;
    utf8proc_ssize_t size = utf8proc_decompose_char((utf8proc_int32_t)code, s->codes + s->n, MOST,
                                                    options, &last_boundclass);
    if (size < 0 || size > MOST) { /* cannot happen for a valid character: keep it */
        s->codes[s->n] = (utf8proc_int32_t)code;
        size = 1;
    }
    s->n += (size_t)size;
    return true;
}

/* Orders, composes and appends the stretch, and empties it. */
static bool finish(stretch *s, utf8proc_option_t options, qm_text *out)
{
    for (size_t i = 0; i < s->n;) {
        size_t end = i + 1;
        if (class_of(s->codes[i]) > 0) {
            while (end < s->n && class_of(s->codes[end]) > 0)
                end++;
            if (!sort_marks(s, s->codes + i, end - i)) return false;
        }
        i = end;
    }
    if ((options & UTF8PROC_COMPOSE) && s->n > 0) {
        utf8proc_ssize_t size = utf8proc_normalize_utf32(s->codes, (utf8proc_ssize_t)s->n, options);
        if (size >= 0 && (size_t)size <= s->n) s->n = (size_t)size;
    }
    for (size_t i = 0; i < s->n; i++) {
        char bytes[QM_UTF8_MAX];
        qm_text_add(out, bytes, qm_utf8_put((uint32_t)s->codes[i], bytes));
    }
    s->n = 0;
    return !out->failed;
}

quamba_status qm_normalize(qm_norm form, const char *text, size_t n, qm_text *out,
                           quamba_error *err)
{
    static const utf8proc_option_t forms[] = {
        [QM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [QM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [QM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [QM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    /* utf8proc_decompose_char decomposes when either of these two is given. */
    utf8proc_option_t options = forms[form];
    uint32_t limit = idle_below(form);
    stretch s = {0};
    bool room = true;
    size_t plain = 0; /* begin of the text that is copied unchanged */
    for (size_t i = 0; i < n && room;) {
        uint32_t code;
        size_t size = qm_utf8_next(text + i, n - i, &code);
        if (size == 0) break;
        if (code < limit || is_younger(code)) {
            i += size;
            continue;
        }
        /* The character before may be joined by this one: the stretch begins with it. */
        size_t begin = i;
        if (begin > plain) do
                begin--;
            while (begin > plain && ((unsigned char)text[begin] & 0xC0) == 0x80);
        qm_text_add(out, text + plain, begin - plain);
        for (i = begin; i < n && room; i += size) {
            size = qm_utf8_next(text + i, n - i, &code);
            if (size == 0 || (i > begin && (code < limit || is_younger(code)))) break;
            if (is_younger(code)) { /* the character before, which takes no part */
                qm_text_add(out, text + i, size);
                continue;
            }
            room = decompose(&s, code, options);
        }
        room = room && finish(&s, options, out);
        plain = i;
    }
    qm_text_add(out, text + plain, n - plain);
    free(s.codes);
    free(s.sorted);
    return room && !out->failed ? QUAMBA_OK : qm_fail_memory(err, n, "normalisation");
}
