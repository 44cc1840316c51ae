#include "base/text.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qm_text_add(qm_text *text, const char *data, size_t size)
{
    if (text->failed || size > SIZE_MAX / 2 - text->size - 1 ||
        !qm_grow(&text->data, &text->capacity, text->size + size + 1, 1)) {
        text->failed = true;
        return;
    }
    if (size > 0) memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void qm_text_puts(qm_text *text, const char *string) { qm_text_add(text, string, strlen(string)); }

void qm_text_printf(qm_text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || text->failed ||
        !qm_grow(&text->data, &text->capacity, text->size + (size_t)size + 1, 1)) {
        text->failed = true;
    } else {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void qm_text_free(qm_text *text)
{
    free(text->data);
    *text = (qm_text){0};
}

size_t qm_edit_distance(const char *a, const char *b)
{
    enum { MAX_WORD = 40 };
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX_WORD || nb > MAX_WORD) return SIZE_MAX;
    size_t rows[3][MAX_WORD + 1]; /* two rows ago, the last row, this row */
    for (size_t j = 0; j <= nb; j++)
        rows[1][j] = j;
    for (size_t i = 1; i <= na; i++) {
        rows[2][0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t best = rows[1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[1][j] + 1 < best) best = rows[1][j] + 1;
            if (rows[2][j - 1] + 1 < best) best = rows[2][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[0][j - 2] + 1 < best)
                best = rows[0][j - 2] + 1;
            rows[2][j] = best;
        }
        memmove(rows[0], rows[1], sizeof rows[0] * 2);
    }
    return rows[1][nb];
}
