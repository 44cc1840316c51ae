/* A pull scanner over JSON text, for the two members of tokenizer.json that are large: a tree of
 * the 100,000 strings of a vocabulary and its merges costs more time and memory than the tokenizer
 * itself.  Everything small is handed to base/json.h as a span. */
#ifndef QM_TOKENIZER_SCAN_H
#define QM_TOKENIZER_SCAN_H

#include "base/text.h"

typedef struct qm_scan {
    const char *at, *end, *begin; /* borrowed */
    qm_text escaped;              /* holds the last string that had escapes; owned, qm_scan_close */
} qm_scan;

typedef struct qm_scan_span {
    const char *data; /* NULL: absent */
    size_t size;
} qm_scan_span;

qm_scan qm_scan_open(qm_scan_span span);
void qm_scan_close(qm_scan *scan);

/* The next byte that is no white space, or 0 at the end; not consumed. */
char qm_scan_peek(qm_scan *scan);

/* Consumes one structural character, or fails. */
quamba_status qm_scan_expect(qm_scan *scan, char wanted, quamba_error *err);

/* A string with its escapes resolved, valid UTF-8 without NUL; borrowed until the next call on
 * this scanner. */
quamba_status qm_scan_string(qm_scan *scan, qm_scan_span *out, quamba_error *err);

/* A whole number that fits in 64 bits. */
quamba_status qm_scan_int(qm_scan *scan, int64_t *out, quamba_error *err);

/* Any value, its text in *out.  Brackets are counted, nothing more: whoever uses the span parses
 * it. */
quamba_status qm_scan_value(qm_scan *scan, qm_scan_span *out, quamba_error *err);

/* Walks an object or array: *more says whether a member follows; call with *more false first (it
 * consumes the opening bracket).  The caller consumes each member (of an object: string, ':',
 * value) before the next call. */
quamba_status qm_scan_next(qm_scan *scan, const char *brackets, bool *started, bool *more,
                           quamba_error *err);

/* Fails unless only white space is left. */
quamba_status qm_scan_end(qm_scan *scan, quamba_error *err);

#endif
