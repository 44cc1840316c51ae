/* A document becomes a page: it goes into a script element of JSON, where only "<" could do harm.
 */
#include "cli/compare_page.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

/* JSON has "<" in strings only, where \u003c says the same. */
static quamba_status write_json(qm_writer *out, const char *text, quamba_error *err)
{
    quamba_status st = QUAMBA_OK;
    for (const char *at = text; st == QUAMBA_OK && *at != 0;) {
        const size_t n = strcspn(at, "<");
        st = qm_writer_write(out, at, n, err);
        at += n;
        if (st == QUAMBA_OK && *at == '<') {
            st = qm_writer_write(out, "\\u003c", 6, err);
            at++;
        }
    }
    return st;
}

quamba_status qc_compare_page_write(const char *path, const json_t *document, quamba_error *err)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (text == NULL) return qm_fail(err, QUAMBA_E_NOMEM, 0, "%s: out of memory", path);
    qm_writer *out = NULL;
    quamba_status st = qm_writer_open(&out, path, err);
    if (st == QUAMBA_OK)
        st = qm_writer_write(out, qc_compare_page_head, qc_compare_page_head_size, err);
    if (st == QUAMBA_OK) st = write_json(out, text, err);
    if (st == QUAMBA_OK)
        st = qm_writer_write(out, qc_compare_page_tail, qc_compare_page_tail_size, err);
    if (st == QUAMBA_OK) st = qm_writer_commit(out, err);
    qm_writer_close(&out);
    free(text);
    return st;
}
