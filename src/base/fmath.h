/* Our own elementary functions: the same operations in the same order on every machine, so that
 * results are equal bit for bit.  These scalar forms are the specification; the vector forms in
 * src/kernels mirror them operation by operation.  fmaf stands exactly where a fused step is meant.
 *
 * Stated bounds, checked over every float by tests/unit/test_fmath (a sample in `make test`, all of
 * them in `make check-full`) against double precision:
 *     qm_expf       1.1 ulp, results below 2^-126 within one unit of 2^-149
 *     qm_exp2f      1.2 ulp, results below 2^-126 likewise
 *     qm_logf       1.0 ulp
 *     qm_log1pf     1.0 ulp
 * qm_exp64 and qm_log64 are for statistics and sampling: within 2 ulp of a double. */
#ifndef QM_BASE_FMATH_H
#define QM_BASE_FMATH_H

#include "base/half.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The constants, shared with the vector forms. */
#define QM_LOG2E 0x1.715476p+0f
#define QM_ROUND_MAGIC 0x1.8p+23f /* adding and subtracting rounds to the nearest integer */
#define QM_LN2_HI 0x1.62e400p-1f  /* 13 trailing zero bits: n * hi is exact for |n| < 2^13 */
#define QM_LN2_LO 0x1.7f7d1cp-20f
#define QM_EXP_LOW -104.0f /* exp is below 2^-150 here and rounds to 0 */
#define QM_EXP_HIGH 89.0f  /* exp overflows here */
#define QM_LN2 0x1.62e430p-1f
#define QM_EXP2_LOW -150.0f
#define QM_EXP2_HIGH 128.0f
#define QM_EXP_C2 0x1.fffffcp-2f
#define QM_EXP_C3 0x1.555490p-3f
#define QM_EXP_C4 0x1.5558f4p-5f
#define QM_EXP_C5 0x1.123a6cp-7f
#define QM_EXP_C6 0x1.6a2352p-10f

#define QM_LOG_C3 0x1.555554p-2f
#define QM_LOG_C4 -0x1.00022ap-2f
#define QM_LOG_C5 0x1.99a014p-3f
#define QM_LOG_C6 -0x1.547128p-3f
#define QM_LOG_C7 0x1.22d812p-3f
#define QM_LOG_C8 -0x1.0d8eccp-3f
#define QM_LOG_C9 0x1.056f9cp-3f
#define QM_LOG_C10 -0x1.38b46cp-4f
#define QM_SQRT_HALF_BITS 0x3f3504f3u
#define QM_SOFTPLUS_THRESHOLD 20.0f

/* e^r 2^n, |r| <= ln(2) / 2 */
static inline float qm_exp_core(float r, int32_t n)
{
    float p = QM_EXP_C6;
    p = fmaf(p, r, QM_EXP_C5);
    p = fmaf(p, r, QM_EXP_C4);
    p = fmaf(p, r, QM_EXP_C3);
    p = fmaf(p, r, QM_EXP_C2);
    float y = fmaf(r * r, p, r) + 1.0f;
    /* 2^n in two exact factors: n is -150 .. 128, and only the last product may round. */
    int32_t half = n >> 1;
    float a = qm_f32_bits((uint32_t)(half + 127) << 23);
    float b = qm_f32_bits((uint32_t)(n - half + 127) << 23);
    return y * a * b;
}

/* e^x.  x >= 88.73 gives inf, x <= -103.98 gives 0; NaN stays NaN. */
static inline float qm_expf(float x)
{
    float c = x;
    c = c < QM_EXP_LOW ? QM_EXP_LOW : c;
    c = c > QM_EXP_HIGH ? QM_EXP_HIGH : c;
    float shifted = fmaf(c, QM_LOG2E, QM_ROUND_MAGIC);
    int32_t n = (int32_t)(qm_bits_f32(shifted) - qm_bits_f32(QM_ROUND_MAGIC));
    float nf = shifted - QM_ROUND_MAGIC;
    float r = fmaf(nf, -QM_LN2_HI, c); /* |r| <= ln(2) / 2 */
    r = fmaf(nf, -QM_LN2_LO, r);
    if (x != x) return x; /* n means nothing then */
    return qm_exp_core(r, n);
}

/* 2^x.  x >= 128 gives inf, x <= -150 gives 0; NaN stays NaN. */
static inline float qm_exp2f(float x)
{
    float c = x;
    c = c < QM_EXP2_LOW ? QM_EXP2_LOW : c;
    c = c > QM_EXP2_HIGH ? QM_EXP2_HIGH : c;
    float shifted = c + QM_ROUND_MAGIC;
    int32_t n = (int32_t)(qm_bits_f32(shifted) - qm_bits_f32(QM_ROUND_MAGIC));
    float r = (c - (shifted - QM_ROUND_MAGIC)) * QM_LN2;
    if (x != x) return x;
    return qm_exp_core(r, n);
}

/* log(u) + correction, for finite normal u > 0: u = 2^k m with m in [sqrt(1/2), sqrt(2)). */
static inline float qm_log_core(float u, float k_extra, float correction)
{
    uint32_t bits = qm_bits_f32(u) - QM_SQRT_HALF_BITS;
    float k = (float)((int32_t)bits >> 23) + k_extra;
    float f = qm_f32_bits((bits & 0x7fffffu) + QM_SQRT_HALF_BITS) - 1.0f;
    float p = QM_LOG_C10;
    p = fmaf(p, f, QM_LOG_C9);
    p = fmaf(p, f, QM_LOG_C8);
    p = fmaf(p, f, QM_LOG_C7);
    p = fmaf(p, f, QM_LOG_C6);
    p = fmaf(p, f, QM_LOG_C5);
    p = fmaf(p, f, QM_LOG_C4);
    p = fmaf(p, f, QM_LOG_C3);
    float f2 = f * f;
    float tail = fmaf(k, QM_LN2_LO, correction);
    tail = fmaf(f2 * f, p, tail);
    tail = fmaf(f2, -0.5f, tail);
    return fmaf(k, QM_LN2_HI, f + tail);
}

/* Natural logarithm; -inf at 0, NaN below. */
static inline float qm_logf(float x)
{
    if (!(x > 0.0f)) return x == 0.0f ? -INFINITY : NAN;
    if (x == INFINITY) return x;
    bool tiny = x < 0x1p-126f;
    return qm_log_core(tiny ? x * 0x1p+23f : x, tiny ? -23.0f : 0.0f, 0.0f);
}

/* log(1 + x) for x >= 0: what 1 + x loses to rounding is put back as a correction. */
static inline float qm_log1pf(float x)
{
    float u = 1.0f + x;
    if (!(u < INFINITY)) return u;                        /* inf and NaN */
    float c = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x); /* exact, either way */
    return qm_log_core(u, 0.0f, c / u);
}

/* e^x in double precision. */
static inline double qm_exp64(double x)
{
    if (x != x) return x;
    x = x < -746.0 ? -746.0 : x > 710.0 ? 710.0 : x;
    double shifted = fma(x, 0x1.71547652b82fep+0, 0x1.8p+52);
    double nf = shifted - 0x1.8p+52;
    double r = fma(nf, -0x1.62e42fefa3800p-1, x);
    r = fma(nf, -0x1.ef35793c76730p-45, r);
    double p = 1.0 / 6227020800.0; /* Taylor, to r^13 / 13! */
    static const double factorials[] = {479001600.0, 39916800.0, 3628800.0, 362880.0,
                                        40320.0,     5040.0,     720.0,     120.0,
                                        24.0,        6.0,        2.0};
    for (size_t i = 0; i < sizeof factorials / sizeof factorials[0]; i++)
        p = fma(p, r, 1.0 / factorials[i]);
    double y = fma(r * r, p, r) + 1.0;
    int64_t n = (int64_t)nf, half = n >> 1;
    uint64_t a = (uint64_t)(half + 1023) << 52, b = (uint64_t)(n - half + 1023) << 52;
    double fa, fb;
    memcpy(&fa, &a, sizeof fa);
    memcpy(&fb, &b, sizeof fb);
    return y * fa * fb;
}

/* Natural logarithm in double precision; -inf at 0, NaN below. */
static inline double qm_log64(double x)
{
    if (!(x > 0.0)) return x == 0.0 ? -HUGE_VAL : (double)NAN;
    if (x == HUGE_VAL) return x;
    double k = 0.0;
    if (x < 0x1p-1022) {
        x *= 0x1p+54;
        k = -54.0;
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits -= 0x3fe6a09e667f3bcdu; /* sqrt(1/2) */
    k += (double)((int64_t)bits >> 52);
    bits = (bits & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu;
    double m;
    memcpy(&m, &bits, sizeof m);
    double f = m - 1.0, s = f / (2.0 + f), z = s * s; /* log m = 2 (s + s^3/3 + s^5/5 + ...) */
    double p = 1.0 / 23.0;
    for (int i = 21; i >= 3; i -= 2)
        p = fma(p, z, 1.0 / (double)i);
    /* 2s = f - f s: the leading term stays exact, the rest is small */
    double tail = fma(k, 0x1.ef35793c76730p-45, s * fma(2.0 * z, p, -f));
    return fma(k, 0x1.62e42fefa3800p-1, f + tail);
}

#endif
