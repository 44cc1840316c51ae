/* Sixteen floats at a time: base/fmath.h operation by operation.  One vector is all lanes of a
 * reduction. */
#ifndef QM_KERNELS_AVX512VNNI_VMATH_H
#define QM_KERNELS_AVX512VNNI_VMATH_H

#include "kernels/avx2/vmath.h"

enum { QM_WIDE = 16 }; /* floats in a register */

/* The first n lanes, all of them from 16 on. */
static inline __mmask16 qm_mask_avx512(size_t n)
{
    return (__mmask16)(n >= QM_WIDE ? 0xffffu : (1u << n) - 1u);
}

/* e^r 2^n, |r| <= ln(2) / 2 */
static inline __m512 qm_exp_core_avx512(__m512 r, __m512 n)
{
    __m512 p = _mm512_set1_ps(QM_EXP_C6);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(QM_EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(QM_EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(QM_EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(QM_EXP_C2));
    __m512 y = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r), _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(y, n); /* rounded once: what the two factors come to */
}

/* Keeps a NaN in x. */
static inline __m512 qm_clamp_avx512(__m512 x, float low, float high)
{
    return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), x));
}

static inline __m512 qm_exp_avx512(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(QM_ROUND_MAGIC);
    __m512 c = qm_clamp_avx512(x, QM_EXP_LOW, QM_EXP_HIGH);
    __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(c, _mm512_set1_ps(QM_LOG2E), magic), magic);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(QM_LN2_HI), c);
    return qm_exp_core_avx512(_mm512_fnmadd_ps(n, _mm512_set1_ps(QM_LN2_LO), r), n);
}

static inline __m512 qm_exp2_avx512(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(QM_ROUND_MAGIC);
    __m512 c = qm_clamp_avx512(x, QM_EXP2_LOW, QM_EXP2_HIGH);
    __m512 n = _mm512_sub_ps(_mm512_add_ps(c, magic), magic);
    return qm_exp_core_avx512(_mm512_mul_ps(_mm512_sub_ps(c, n), _mm512_set1_ps(QM_LN2)), n);
}

static inline __m512 qm_log_core_avx512(__m512 u, __m512 correction)
{
    const __m512i root = _mm512_set1_epi32((int)QM_SQRT_HALF_BITS);
    __m512i bits = _mm512_sub_epi32(_mm512_castps_si512(u), root);
    __m512 k = _mm512_cvtepi32_ps(_mm512_srai_epi32(bits, 23));
    __m512i m = _mm512_add_epi32(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffff)), root);
    __m512 f = _mm512_sub_ps(_mm512_castsi512_ps(m), _mm512_set1_ps(1.0f));
    __m512 p = _mm512_set1_ps(QM_LOG_C10);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C9));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C8));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C7));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C6));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C5));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C4));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(QM_LOG_C3));
    __m512 f2 = _mm512_mul_ps(f, f);
    __m512 tail = _mm512_fmadd_ps(k, _mm512_set1_ps(QM_LN2_LO), correction);
    tail = _mm512_fmadd_ps(_mm512_mul_ps(f2, f), p, tail);
    tail = _mm512_fmadd_ps(f2, _mm512_set1_ps(-0.5f), tail);
    return _mm512_fmadd_ps(k, _mm512_set1_ps(QM_LN2_HI), _mm512_add_ps(f, tail));
}

/* x above the threshold or NaN, log1p(exp(x)) or log(exp(x) + 1) below it. */
static inline __m512 qm_softplus_avx512(__m512 x, bool use_log1p)
{
    const __m512 one = _mm512_set1_ps(1.0f), limit = _mm512_set1_ps(QM_SOFTPLUS_THRESHOLD);
    __m512 e = qm_exp_avx512(_mm512_min_ps(limit, x)), u = _mm512_add_ps(one, e);
    __m512 correction = _mm512_setzero_ps();
    if (use_log1p) {
        __m512 small = _mm512_sub_ps(e, _mm512_sub_ps(u, one));
        __m512 large = _mm512_sub_ps(one, _mm512_sub_ps(u, e));
        __mmask16 below = _mm512_cmp_ps_mask(e, one, _CMP_LT_OQ);
        correction = _mm512_div_ps(_mm512_mask_blend_ps(below, large, small), u);
    }
    __mmask16 low = _mm512_cmp_ps_mask(x, limit, _CMP_LE_OQ);
    return _mm512_mask_blend_ps(low, x, qm_log_core_avx512(u, correction));
}

/* 1 + exp(-x), the denominator of SiLU and of the gate. */
static inline __m512 qm_one_plus_exp_neg_avx512(__m512 x)
{
    __m512 negative = _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
    return _mm512_add_ps(_mm512_set1_ps(1.0f), qm_exp_avx512(negative));
}

#endif
