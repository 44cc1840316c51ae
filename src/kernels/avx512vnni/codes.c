/* Floats and sums to INT8 codes, and the convolution of codes. */
#include "kernels/avx512vnni/codes.h"

/* divides: false where the scale is 1, and dividing would change nothing. */
static inline size_t quantize(int8_t *restrict q, const float *restrict x, float scale, size_t n,
                              bool away, bool divides)
{
    size_t lost = 0;
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        if (divides) v = _mm512_div_ps(v, _mm512_set1_ps(scale));
        lost +=
            away ? qm_put_away_avx512(q + i, v, mask) : qm_put_even_avx512(q + i, v, mask, false);
    }
    return lost;
}

size_t qm_quantize_even_i8_avx512vnni(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n)
{
    return quantize(q, x, scale, n, false, true);
}

size_t qm_quantize_away_i8_avx512vnni(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n)
{
    return scale == 1.0f ? quantize(q, x, scale, n, true, false)
                         : quantize(q, x, scale, n, true, true);
}

size_t qm_requantize_i8_avx512vnni(int8_t *restrict q, const int32_t *restrict acc, float first,
                                   float second, size_t n)
{
    const bool finite = qm_rescale_is_finite(first, second);
    size_t lost = 0;
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(mask, acc + i));
        v = _mm512_mul_ps(_mm512_set1_ps(second), _mm512_mul_ps(_mm512_set1_ps(first), v));
        lost += qm_put_even_avx512(q + i, v, mask, finite);
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
