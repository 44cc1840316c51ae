/* Results as JSON. */
#include "cli/cli.h"

#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <utf8proc.h>

int qc_print_json(const json_t *value)
{
    /* Dumping first and printing then keeps half a document from going out. */
    char *text = value != NULL
                     ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY)
                     : NULL;
    if (text == NULL) return qc_fail_memory();
    const bool printed = puts(text) >= 0;
    const int reason = errno;
    free(text);
    return printed ? qc_finish_output()
                   : qc_fail(QC_FAILED, "standard output: %s", strerror(reason));
}

json_t *qc_json_text(const char *text, size_t n_bytes)
{
    json_t *value = json_stringn(text, n_bytes);
    if (value != NULL) return value;
    qm_text valid = {0};
    for (size_t i = 0; i < n_bytes;) {
        utf8proc_int32_t character = 0;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                              (utf8proc_ssize_t)(n_bytes - i), &character);
        if (n > 0)
            qm_text_add(&valid, text + i, (size_t)n);
        else
            qm_text_puts(&valid, "\xef\xbf\xbd");
        i += n > 0 ? (size_t)n : 1;
    }
    if (!valid.failed) value = json_stringn(valid.data, valid.size);
    qm_text_free(&valid);
    return value;
}

json_t *qc_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }
