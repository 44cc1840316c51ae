#include "base/utf8.h"

#include <string.h>

/* What the first byte says: length, and the range of the second byte, which alone rules out
 * overlong forms, surrogates and numbers beyond U+10FFFF (Unicode standard, table 3-7). */
static size_t lead(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    if (first == 0xE0) *low = 0xA0;
    if (first == 0xED) *high = 0x9F;
    if (first == 0xF0) *low = 0x90;
    if (first == 0xF4) *high = 0x8F;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Bytes of text that begin a character of the wanted length; *wanted 0: the first byte cannot. */
static size_t matching(const unsigned char *text, size_t n, size_t *wanted)
{
    unsigned char low, high;
    *wanted = lead(text[0], &low, &high);
    size_t i = 1;
    while (i < *wanted && i < n && text[i] >= low && text[i] <= high) {
        i++;
        low = 0x80;
        high = 0xBF;
    }
    return i;
}

size_t qm_utf8_next(const char *text, size_t n, uint32_t *code)
{
    static const unsigned char mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *p = (const unsigned char *)text;
    size_t wanted, got = matching(p, n, &wanted);
    if (got != wanted) return 0;
    uint32_t value = p[0] & mask[wanted];
    for (size_t i = 1; i < wanted; i++)
        value = value << 6 | (p[i] & 0x3FU);
    *code = value;
    return wanted;
}

size_t qm_utf8_valid(const char *text, size_t n)
{
    static const uint64_t high_bits = 0x8080808080808080U;
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if ((eight & high_bits) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        uint32_t code;
        size_t size = qm_utf8_next(text + i, n - i, &code);
        if (size == 0) return i;
        i += size;
    }
    return n;
}

size_t qm_utf8_broken(const char *text, size_t n)
{
    size_t wanted;
    return matching((const unsigned char *)text, n, &wanted);
}

size_t qm_utf8_put(uint32_t code, char out[QM_UTF8_MAX])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    static const unsigned char first[] = {0, 0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(first[size] | code);
    return size;
}

void qm_text_add_lossy(qm_text *out, const char *text, size_t n)
{
    while (n > 0) {
        size_t valid = qm_utf8_valid(text, n);
        qm_text_add(out, text, valid);
        text += valid;
        n -= valid;
        if (n == 0) return;
        size_t broken = qm_utf8_broken(text, n);
        qm_text_puts(out, "\xEF\xBF\xBD");
        text += broken;
        n -= broken;
    }
}
