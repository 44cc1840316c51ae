#include "trace/encode.h"

#include "base/half.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int32_t qm_trace_natural_bits(qm_dtype dtype) { return 8 * (int32_t)qm_dtype_size(dtype); }

static bool is_hex(const qm_trace_code *c)
{
    return c->format == QM_TRACE_HEX || c->format == QM_TRACE_MEM;
}

/* Hex digits of a line, and lines of a row. */
static size_t line_digits(const qm_trace_code *c)
{
    return ((size_t)c->bits * (size_t)c->lanes + 3) / 4;
}

static size_t row_lines(const qm_trace_code *c)
{
    return (c->n_cols + (size_t)c->lanes - 1) / (size_t)c->lanes;
}

size_t qm_trace_row_bytes(const qm_trace_code *c)
{
    if (is_hex(c)) return row_lines(c) * (line_digits(c) + 1);
    return c->n_cols * qm_dtype_size(c->dtype);
}

/* ---- values to bit patterns -------------------------------------------------------------------
 */

static bool integer_pattern(int64_t value, int32_t bits, uint64_t *pattern)
{
    const uint64_t mask = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    const int64_t limit = bits == 64 ? INT64_MAX : (int64_t)(mask >> 1);
    *pattern = (uint64_t)value & mask;
    return value <= limit && value >= -limit - 1;
}

/* Value i, two's complement in the word or the bits of the floating-point number. */
static bool pattern_of(const qm_trace_code *c, const void *values, size_t i, uint64_t *pattern)
{
    switch (c->held) {
    case QM_I8:
        return integer_pattern(((const int8_t *)values)[i], c->bits, pattern);
    case QM_I32:
        return integer_pattern(((const int32_t *)values)[i], c->bits, pattern);
    case QM_F16:
        *pattern = ((const uint16_t *)values)[i];
        return true;
    case QM_BF16: /* written as FP32, which holds it exactly */
        *pattern = (uint64_t)((const uint16_t *)values)[i] << 16;
        return true;
    default:
        break;
    }
    const float x = ((const float *)values)[i];
    *pattern = qm_bits_f32(x);
    if (c->dtype != QM_F16) return true;
    const uint16_t half = qm_f16_f32(x);
    *pattern = half;
    return x != x || qm_bits_f32(qm_f32_f16(half)) == qm_bits_f32(x);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Sets bits [at, at + n) of a line's digits, the last digit holding bits 0 .. 3. */
static void put_bits(unsigned char *digits, size_t n_digits, size_t at, int32_t n, uint64_t pattern)
{
    for (int32_t i = 0; i < n; i++, at++)
        digits[n_digits - 1 - at / 4] |=
            (unsigned char)((pattern >> i & 1) << (at % 4)); /* as numbers 0 .. 15 so far */
}

static bool encode_hex(const qm_trace_code *c, const void *values, unsigned char *out, size_t *bad)
{
    const size_t n_digits = line_digits(c), lanes = (size_t)c->lanes;
    bool good = true;
    for (size_t i = 0; i < c->n_cols; i += lanes, out += n_digits + 1) {
        memset(out, 0, n_digits);
        for (size_t k = 0; k < lanes && i + k < c->n_cols; k++) {
            uint64_t pattern;
            if (!pattern_of(c, values, i + k, &pattern) && good) {
                *bad = i + k;
                good = false;
            }
            put_bits(out, n_digits, k * (size_t)c->bits, c->bits, pattern);
        }
        for (size_t k = 0; k < n_digits; k++)
            out[k] = (unsigned char)"0123456789abcdef"[out[k]];
        out[n_digits] = '\n';
    }
    return good;
}

bool qm_trace_encode_row(const qm_trace_code *c, const void *values, unsigned char *out,
                         size_t *bad)
{
    const size_t size = qm_dtype_size(c->dtype);
    if (is_hex(c)) return encode_hex(c, values, out, bad);
    for (size_t i = 0; i < c->n_cols; i++) {
        uint64_t pattern;
        if (!pattern_of(c, values, i, &pattern)) {
            *bad = i;
            return false;
        }
        for (size_t k = 0; k < size; k++)
            *out++ = (unsigned char)(pattern >> (8 * k) & 255);
    }
    return true;
}

/* ---- back -------------------------------------------------------------------------------------
 */

size_t qm_trace_place(const qm_trace_code *c, size_t i, size_t *n_bytes)
{
    *n_bytes = is_hex(c) ? line_digits(c) + 1 : qm_dtype_size(c->dtype);
    return (is_hex(c) ? i / (size_t)c->lanes : i) * *n_bytes;
}

static int digit_of(unsigned char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The bits of value i; false when its line is none. */
static bool read_pattern(const qm_trace_code *c, const unsigned char *row, size_t i,
                         uint64_t *pattern)
{
    size_t n;
    row += qm_trace_place(c, i, &n);
    *pattern = 0;
    if (!is_hex(c)) {
        for (size_t k = 0; k < n; k++)
            *pattern |= (uint64_t)row[k] << (8 * k);
        return true;
    }
    const size_t n_digits = n - 1, first = i % (size_t)c->lanes * (size_t)c->bits;
    for (size_t k = 0; k < n_digits; k++)
        if (digit_of(row[k]) < 0) return false;
    for (size_t b = 0; b < (size_t)c->bits; b++) {
        const size_t at = first + b;
        *pattern |= (uint64_t)(digit_of(row[n_digits - 1 - at / 4]) >> (at % 4) & 1) << b;
    }
    return row[n_digits] == '\n';
}

const char *qm_trace_decode(const qm_trace_code *c, const unsigned char *row, size_t i,
                            char out[64])
{
    uint64_t pattern;
    const int32_t bits = is_hex(c) ? c->bits : qm_trace_natural_bits(c->dtype);
    if (!read_pattern(c, row, i, &pattern))
        snprintf(out, 64, "no line of hexadecimal digits");
    else if (c->dtype == QM_F32)
        snprintf(out, 64, "%.9g (0x%08" PRIx32 ")", (double)qm_f32_bits((uint32_t)pattern),
                 (uint32_t)pattern);
    else if (c->dtype == QM_F16)
        snprintf(out, 64, "%.9g (0x%04" PRIx32 ")", (double)qm_f32_f16((uint16_t)pattern),
                 (uint32_t)pattern);
    else if (pattern >> (bits - 1) & 1) /* negative: extend the sign */
        snprintf(out, 64, "%" PRId64, (int64_t)(pattern | (bits < 64 ? UINT64_MAX << bits : 0)));
    else
        snprintf(out, 64, "%" PRIu64, pattern);
    return out;
}

size_t qm_trace_first_difference(const qm_trace_code *c, const unsigned char *a,
                                 const unsigned char *b)
{
    const size_t total = qm_trace_row_bytes(c);
    if (memcmp(a, b, total) == 0) return c->n_cols;
    for (size_t i = 0; i < c->n_cols; i++) {
        size_t n;
        const size_t at = qm_trace_place(c, i, &n);
        if (memcmp(a + at, b + at, n) == 0) continue;
        uint64_t x, y;
        if (!read_pattern(c, a, i, &x) || !read_pattern(c, b, i, &y) || x != y) return i;
    }
    return c->n_cols;
}
