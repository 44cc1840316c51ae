/* Sixteen floats to INT8 codes (base/code.h) and to half. */
#ifndef QM_KERNELS_AVX512VNNI_CODES_H
#define QM_KERNELS_AVX512VNNI_CODES_H

#include "kernels/avx512vnni/vmath.h"

/* Codes of the numbers in the mask, which are bounded and rounded by the conversion; lost: those
 * that a code does not hold.  What is too small for an int32 becomes the smallest, and saturates as
 * it should. */
static inline size_t qm_put_codes_avx512(int8_t *q, __m512i whole, __mmask16 lost, __mmask16 mask)
{
    _mm512_mask_cvtsepi32_storeu_epi8(q, mask, whole);
    return (size_t)__builtin_popcount((unsigned)(lost & mask));
}

/* Whether second * (first * sum) is never NaN. */
static inline bool qm_rescale_is_finite(float first, float second)
{
    return fabsf(first * 0x1p+31f) < INFINITY && fabsf(second) < INFINITY;
}

/* Ties to even; finite: no lane is NaN.  At least -128 only once it is put. */
static inline __m512i qm_even_avx512(__m512 x, bool finite, __mmask16 *lost)
{
    const __m512 high = _mm512_set1_ps(127.5f), low = _mm512_set1_ps(-128.5f);
    *lost = _mm512_cmp_ps_mask(x, high, _CMP_NLT_UQ) | _mm512_cmp_ps_mask(x, low, _CMP_LT_OQ);
    __m512 bounded = _mm512_min_ps(x, _mm512_set1_ps(127.0f));
    __mmask16 number = finite ? 0xffff : _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q); /* NaN: 0 */
    return _mm512_maskz_cvtps_epi32(number, bounded);
}

static inline size_t qm_put_even_avx512(int8_t *q, __m512 x, __mmask16 mask, bool finite)
{
    __mmask16 lost;
    __m512i whole = qm_even_avx512(x, finite, &lost);
    return qm_put_codes_avx512(q, whole, lost, mask);
}

/* Ties away from zero: the largest float below a half is added, which reaches the next number
 * exactly from a half on. */
static inline __m512i qm_away_avx512(__m512 x, __mmask16 *lost)
{
    const __m512 high = _mm512_set1_ps(127.5f), low = _mm512_set1_ps(-128.5f);
    *lost = _mm512_cmp_ps_mask(x, high, _CMP_NLT_UQ) | _mm512_cmp_ps_mask(x, low, _CMP_LE_OQ);
    __m512 bounded = _mm512_min_ps(x, _mm512_set1_ps(127.0f));
    __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
    bounded = _mm512_add_ps(bounded, _mm512_or_ps(sign, _mm512_set1_ps(0x1.fffffep-2f)));
    __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    return _mm512_maskz_cvttps_epi32(number, bounded);
}

static inline size_t qm_put_away_avx512(int8_t *q, __m512 x, __mmask16 mask)
{
    __mmask16 lost;
    __m512i whole = qm_away_avx512(x, &lost);
    return qm_put_codes_avx512(q, whole, lost, mask);
}

static inline __m512 qm_round_f16_avx512(__m512 x)
{
    return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#endif
