/* Floats and sums to INT8 codes, and the convolution of codes. */
#include "kernels/avx512vnni/vmath.h"

static inline __m512 round_even(__m512 x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* roundf: what truncation takes off is exact, and half of it or more is one step further out. */
static inline __m512 round_away(__m512 x)
{
    const __m512 sign = _mm512_set1_ps(-0.0f);
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_andnot_ps(sign, _mm512_sub_ps(x, whole)); /* NaN for inf, which stays */
    __mmask16 far = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(0.5f), _CMP_GE_OQ);
    __m512 step = _mm512_or_ps(_mm512_and_ps(x, sign), _mm512_set1_ps(1.0f));
    return _mm512_mask_add_ps(whole, far, whole, step);
}

/* The codes of rounded numbers; returns how many of those in the mask do not fit. */
static inline size_t put_codes(int8_t *q, __m512 rounded, __mmask16 mask)
{
    const __m512 low = _mm512_set1_ps(-128.0f), high = _mm512_set1_ps(127.0f);
    __mmask16 fit = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(rounded, low, _CMP_GE_OQ), rounded,
                                            high, _CMP_LE_OQ);
    __m512 inside = _mm512_min_ps(_mm512_max_ps(rounded, low), high);
    __mmask16 number = _mm512_cmp_ps_mask(rounded, rounded, _CMP_ORD_Q); /* NaN: 0 */
    __m128i codes = _mm512_cvtepi32_epi8(_mm512_maskz_cvtps_epi32(number, inside));
    _mm_mask_storeu_epi8(q, mask, codes);
    return (size_t)__builtin_popcount((unsigned)mask & ~(unsigned)fit);
}

static inline size_t quantize(int8_t *restrict q, const float *restrict x, float scale, size_t n,
                              bool away)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_set1_ps(scale));
        lost += put_codes(q + i, away ? round_away(v) : round_even(v), mask);
    }
    return lost;
}

size_t qm_quantize_even_i8_avx512vnni(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n)
{
    return quantize(q, x, scale, n, false);
}

size_t qm_quantize_away_i8_avx512vnni(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n)
{
    return quantize(q, x, scale, n, true);
}

size_t qm_requantize_i8_avx512vnni(int8_t *restrict q, const int32_t *restrict acc, float first,
                                   float second, size_t n)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, acc + i));
        v = _mm512_mul_ps(_mm512_set1_ps(second), _mm512_mul_ps(_mm512_set1_ps(first), v));
        lost += put_codes(q + i, round_even(v), mask);
    }
    return lost;
}

static inline __m512i load_codes(const int8_t *q, __mmask16 mask)
{
    return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, q));
}

void qm_conv_i8_avx512vnni(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                           size_t ldw, float scale, const float *restrict bias, size_t n,
                           size_t width)
{
    for (size_t c = 0; c < n; c += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - c);
        __m512i sum = _mm512_setzero_si512();
        for (size_t k = 0; k < width; k++)
            sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(load_codes(w + k * ldw + c, mask),
                                                           load_codes(taps[k] + c, mask)));
        __m512 v = _mm512_fmadd_ps(_mm512_set1_ps(scale), _mm512_cvtepi32_ps(sum),
                                   _mm512_maskz_loadu_ps(mask, bias + c));
        _mm512_mask_storeu_ps(y + c, mask, v);
    }
}
