/* A growing byte string. */
#ifndef QM_BASE_TEXT_H
#define QM_BASE_TEXT_H

#include "base/status.h"

/* Zero-initialise; text stays 0-terminated once anything was added.  After a failed allocation
 * failed is set, further additions do nothing, and the owner checks once at the end. */
typedef struct qm_text {
    char *data; /* owned, qm_text_free */
    size_t size, capacity;
    bool failed;
} qm_text;

void qm_text_add(qm_text *text, const char *data, size_t size);
void qm_text_puts(qm_text *text, const char *string);
void qm_text_printf(qm_text *text, const char *format, ...) QM_PRINTF(2, 3);
void qm_text_free(qm_text *text);

/* Number of single-character edits (insert, delete, replace, swap neighbours) between a and b, for
 * "did you mean"; SIZE_MAX for words of more than 40 bytes. */
size_t qm_edit_distance(const char *a, const char *b);

#endif
