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
