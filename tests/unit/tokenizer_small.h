/* A tokenizer.json small enough to see through: id = byte for the 256 bytes, then one id per merge
 * from 256 on.  Written in tests with ' for ", which keeps it readable. */
#ifndef TOKENIZER_SMALL_H
#define TOKENIZER_SMALL_H

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <string.h>

/* left, right and the id that becomes of them: 256 + the line. */
static const char *const small_merges[][2] = {
    {"h",         "e"       },
    {"l",         "l"       },
    {"he",        "ll"      },
    {"hell",      "o"       },
    {"\xC4\xA0",  "w"       },
    {"o",         "r"       },
    {"\xC4\xA0w", "or"      },
    {"a",         "a"       },
    {"aa",        "aa"      },
    {"b",         "a"       },
    {"\xC4\xA0",  "\xC4\xA0"},
    {"1",         "2"       },
};
enum { SMALL_HELLO = 259, SMALL_WOR = 262, SMALL_N = 256 + (int)QM_COUNT(small_merges) };

typedef struct small_parts {
    const char *normalizer, *pre_tokenizer, *decoder, *added, *model; /* NULL: as usual */
} small_parts;

static inline void small_put(qm_text *out, const char *text)
{
    for (; *text; text++)
        qm_text_add(out, *text == '\'' ? "\"" : text, 1);
}

/* The byte as GPT-2's alphabet spells it, escaped for JSON; written apart from the library's way.
 */
static inline void small_put_byte(qm_text *out, unsigned byte)
{
    unsigned code = byte, other = 0;
    for (unsigned b = 0; b < byte; b++)
        if (b < 33 || (b > 126 && b < 161) || b == 173) other++;
    if (byte < 33 || (byte > 126 && byte < 161) || byte == 173) code = 256 + other;
    qm_text_printf(out, "\\u%04x", code);
}

static inline void small_json(qm_text *out, const small_parts *parts)
{
    small_put(out, "{'version':'1.0','normalizer':");
    small_put(out, parts->normalizer ? parts->normalizer : "null");
    small_put(out, ",'pre_tokenizer':");
    small_put(out, parts->pre_tokenizer ? parts->pre_tokenizer
                                        : "{'type':'ByteLevel','add_prefix_space':false}");
    small_put(out, ",'decoder':");
    small_put(out, parts->decoder ? parts->decoder : "{'type':'ByteLevel'}");
    small_put(out, ",'added_tokens':");
    small_put(out, parts->added ? parts->added : "[]");
    small_put(out, ",'model':{'type':'BPE',");
    small_put(out, parts->model ? parts->model : "");
    small_put(out, "'vocab':{");
    for (unsigned b = 0; b < 256; b++) {
        qm_text_puts(out, b > 0 ? ",\"" : "\"");
        small_put_byte(out, b);
        qm_text_printf(out, "\":%u", b);
    }
    for (size_t i = 0; i < QM_COUNT(small_merges); i++)
        qm_text_printf(out, ",\"%s%s\":%zu", small_merges[i][0], small_merges[i][1], 256 + i);
    small_put(out, "},'merges':[");
    for (size_t i = 0; i < QM_COUNT(small_merges); i++)
        qm_text_printf(out,
                       i % 2 ? ",\"%s %s\""
                       : i   ? ",[\"%s\",\"%s\"]"
                             : "[\"%s\",\"%s\"]",
                       small_merges[i][0], small_merges[i][1]);
    small_put(out, "]}}");
}

#endif
