/* Text that is shown while it is made: complete characters only, and nothing that may yet turn out
 * to be a stop text. */
#ifndef QC_STREAM_H
#define QC_STREAM_H

#include "base/text.h"

typedef struct qc_stream {
    qm_text text;             /* owned, qc_stream_free; without the stop text once stopped */
    size_t shown;             /* bytes of it handed to the reader */
    const char *const *stops; /* borrowed; none is empty */
    size_t n_stops;
    bool stopped; /* a stop text appeared */
} qc_stream;

/* Adds bytes; from the first stop text on everything is dropped. */
void qc_stream_add(qc_stream *stream, const char *bytes, size_t n_bytes);

/* Bytes behind shown that may be shown now: all of them at_end, else without what could be the
 * beginning of a stop text or is an incomplete UTF-8 character. */
size_t qc_stream_ready(const qc_stream *stream, bool at_end);

void qc_stream_free(qc_stream *stream);

#endif
