/* UTF-8: one strict decoder for everything that looks at characters. */
#ifndef QM_BASE_UTF8_H
#define QM_BASE_UTF8_H

#include "base/text.h"

enum { QM_UTF8_MAX = 4 }; /* bytes of the longest character */

/* Length of the character at the start of text (n >= 1 bytes), its number in *code; 0 when there is
 * none: a stray or missing continuation byte, an overlong form, a surrogate, beyond U+10FFFF. */
size_t qm_utf8_next(const char *text, size_t n, uint32_t *code);

/* Bytes of the longest valid beginning of text. */
size_t qm_utf8_valid(const char *text, size_t n);

/* Where qm_utf8_next finds no character: bytes (1 to 3) of the longest beginning of one, which is
 * what decoders commonly replace by a single U+FFFD. */
size_t qm_utf8_broken(const char *text, size_t n);

/* Writes one character (a valid number) to out; returns its length. */
size_t qm_utf8_put(uint32_t code, char out[QM_UTF8_MAX]);

/* Appends text with everything invalid replaced by U+FFFD, for JSON and terminals. */
void qm_text_add_lossy(qm_text *out, const char *text, size_t n);

#endif
