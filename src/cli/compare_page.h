/* The HTML page of quamba compare: one file that holds its document, its style and its script, and
 * loads nothing.  Its sources are in src/cli/page/, put together by cmake/embed_page.cmake. */
#ifndef QC_COMPARE_PAGE_H
#define QC_COMPARE_PAGE_H

#include "base/status.h"

#include <jansson.h>

/* Writes the page of a document (as quamba compare --json prints it) to path, whole or not at all.
 * Any text may be in the document: it cannot end the element it lies in. */
quamba_status qc_compare_page_write(const char *path, const json_t *document, quamba_error *err);

/* What comes before and after the document. */
extern const unsigned char qc_compare_page_head[], qc_compare_page_tail[];
extern const size_t qc_compare_page_head_size, qc_compare_page_tail_size;

#endif
