#include "tokenizer/scan.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

qm_scan qm_scan_open(qm_scan_span span)
{
    return (qm_scan){.at = span.data, .end = span.data + span.size, .begin = span.data};
}

void qm_scan_close(qm_scan *scan) { qm_text_free(&scan->escaped); }

static quamba_status fail(const qm_scan *scan, quamba_error *err, const char *why)
{
    uint64_t offset = (uint64_t)(scan->at - scan->begin);
    return qm_fail(err, QUAMBA_E_FORMAT, offset, "not valid JSON at byte %" PRIu64 ": %s", offset,
                   why);
}

char qm_scan_peek(qm_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

quamba_status qm_scan_expect(qm_scan *scan, char wanted, quamba_error *err)
{
    if (qm_scan_peek(scan) != wanted || scan->at == scan->end) {
        char why[] = "expected 'x'";
        why[sizeof why - 3] = wanted;
        return fail(scan, err, why);
    }
    scan->at++;
    return QUAMBA_OK;
}

static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The escape whose backslash is at scan->at, appended to scan->escaped. */
static quamba_status escape(qm_scan *scan, quamba_error *err)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *at = scan->at + 1;
    if (at == scan->end) return fail(scan, err, "unfinished escape");
    const char *name = *at ? strchr(names, *at) : NULL;
    if (name) {
        qm_text_add(&scan->escaped, &values[name - names], 1);
        scan->at = at + 1;
        return QUAMBA_OK;
    }
    int code = *at == 'u' ? hex4(at + 1, scan->end) : -1;
    if (code <= 0) return fail(scan, err, code == 0 ? "NUL in a string" : "unknown escape");
    at += 5;
    if (code >= 0xD800 && code < 0xE000) {
        bool paired = code < 0xDC00 && scan->end - at >= 6 && at[0] == '\\' && at[1] == 'u';
        int low = paired ? hex4(at + 2, scan->end) : -1;
        if (low < 0xDC00 || low > 0xDFFF) return fail(scan, err, "lone surrogate");
        code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
        at += 6;
    }
    char bytes[QM_UTF8_MAX];
    qm_text_add(&scan->escaped, bytes, qm_utf8_put((uint32_t)code, bytes));
    scan->at = at;
    return QUAMBA_OK;
}

quamba_status qm_scan_string(qm_scan *scan, qm_scan_span *out, quamba_error *err)
{
    if (qm_scan_peek(scan) != '"') return fail(scan, err, "expected a string");
    const char *from = ++scan->at;
    bool ascii = true, escaped = false;
    scan->escaped.size = 0;
    for (;;) {
        const char *at = scan->at;
        for (; at < scan->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20; at++)
            ascii = ascii && (unsigned char)*at < 0x80;
        size_t size = (size_t)(at - from);
        scan->at = at;
        if (at == scan->end) return fail(scan, err, "unfinished string");
        if ((unsigned char)*at < 0x20) return fail(scan, err, "control character in a string");
        if (!ascii && qm_utf8_valid(from, size) != size)
            return fail(scan, err, "string is not UTF-8");
        if (*at == '"' && !escaped) {
            *out = (qm_scan_span){from, size};
            break;
        }
        escaped = true;
        qm_text_add(&scan->escaped, from, size);
        if (*at == '"') {
            if (scan->escaped.failed) return qm_fail_memory(err, size, "a string");
            *out = (qm_scan_span){scan->escaped.data, scan->escaped.size};
            break;
        }
        quamba_status status = escape(scan, err);
        if (status != QUAMBA_OK) return status;
        from = scan->at;
    }
    scan->at++;
    return QUAMBA_OK;
}

quamba_status qm_scan_int(qm_scan *scan, int64_t *out, quamba_error *err)
{
    qm_scan_peek(scan);
    const char *at = scan->at;
    bool negative = at < scan->end && *at == '-';
    if (negative) at++;
    const char *first = at;
    int64_t value = 0;
    bool fits = true;
    for (; at < scan->end && *at >= '0' && *at <= '9'; at++)
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, *at - '0', &value);
    bool odd = at < scan->end && (*at == '.' || *at == 'e' || *at == 'E');
    if (at == first || odd || (*first == '0' && at - first > 1))
        return fail(scan, err, "expected a whole number");
    if (!fits) return fail(scan, err, "number too large");
    *out = negative ? -value : value;
    scan->at = at;
    return QUAMBA_OK;
}

/* Behind the string that begins at this quote, or end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end) at++;
    return at < end ? at + 1 : end;
}

quamba_status qm_scan_value(qm_scan *scan, qm_scan_span *out, quamba_error *err)
{
    qm_scan_peek(scan);
    const char *at = scan->at, *const end = scan->end;
    size_t depth = 0;
    while (at < end) {
        char c = *at;
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        at++;
    }
    *out = (qm_scan_span){scan->at, (size_t)(at - scan->at)};
    scan->at = at;
    if (depth > 0) return fail(scan, err, "unfinished value");
    return out->size > 0 ? QUAMBA_OK : fail(scan, err, "expected a value");
}

quamba_status qm_scan_next(qm_scan *scan, const char *brackets, bool *started, bool *more,
                           quamba_error *err)
{
    bool first = !*started;
    if (first) {
        quamba_status status = qm_scan_expect(scan, brackets[0], err);
        if (status != QUAMBA_OK) return status;
        *started = true;
    }
    *more = qm_scan_peek(scan) != brackets[1];
    if (!*more) {
        scan->at++;
        return QUAMBA_OK;
    }
    return first ? QUAMBA_OK : qm_scan_expect(scan, ',', err);
}

quamba_status qm_scan_end(qm_scan *scan, quamba_error *err)
{
    qm_scan_peek(scan);
    return scan->at == scan->end ? QUAMBA_OK : fail(scan, err, "more text after the value");
}
