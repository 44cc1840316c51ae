/* Floats and sums to INT8 codes, and back. */
#include "kernels/avx2/vmath.h"

#include <string.h>

static inline __m256 round_even(__m256 x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* roundf: what truncation takes off is exact, and half of it or more is one step further out. */
static inline __m256 round_away(__m256 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    __m256 whole = _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m256 rest = _mm256_andnot_ps(sign, _mm256_sub_ps(x, whole)); /* NaN for inf, which stays */
    __m256 far = _mm256_cmp_ps(rest, _mm256_set1_ps(0.5f), _CMP_GE_OQ);
    __m256 step = _mm256_or_ps(_mm256_and_ps(x, sign), one);
    return _mm256_add_ps(whole, _mm256_and_ps(far, step));
}

/* The codes of eight rounded numbers; returns how many do not fit. */
static inline size_t put_codes(int8_t *q, __m256 rounded)
{
    const __m256 low = _mm256_set1_ps(-128.0f), high = _mm256_set1_ps(127.0f);
    __m256 fit = _mm256_and_ps(_mm256_cmp_ps(rounded, low, _CMP_GE_OQ),
                               _mm256_cmp_ps(rounded, high, _CMP_LE_OQ));
    __m256 inside = _mm256_min_ps(_mm256_max_ps(rounded, low), high);
    inside = _mm256_and_ps(inside, _mm256_cmp_ps(rounded, rounded, _CMP_ORD_Q)); /* NaN: 0 */
    __m256i wide = _mm256_cvtps_epi32(inside);
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)q, _mm_packs_epi16(half, half));
    return QM_VEC - (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(fit));
}

size_t qm_quantize_even_i8_avx2(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    size_t i = 0, lost = 0;
    for (; n - i >= QM_VEC; i += QM_VEC)
        lost += put_codes(q + i,
                          round_even(_mm256_div_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(scale))));
    return lost + qm_quantize_even_i8_scalar(q + i, x + i, scale, n - i);
}

size_t qm_quantize_away_i8_avx2(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    size_t i = 0, lost = 0;
    for (; n - i >= QM_VEC; i += QM_VEC)
        lost += put_codes(q + i,
                          round_away(_mm256_div_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(scale))));
    return lost + qm_quantize_away_i8_scalar(q + i, x + i, scale, n - i);
}

/* second * (first * sum) */
static inline __m256 rescale(const int32_t *acc, float first, float second)
{
    __m256 sum = _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)acc));
    return _mm256_mul_ps(_mm256_set1_ps(second), _mm256_mul_ps(_mm256_set1_ps(first), sum));
}

size_t qm_requantize_i8_avx2(int8_t *restrict q, const int32_t *restrict acc, float first,
                             float second, size_t n)
{
    size_t i = 0, lost = 0;
    for (; n - i >= QM_VEC; i += QM_VEC)
        lost += put_codes(q + i, round_even(rescale(acc + i, first, second)));
    return lost + qm_requantize_i8_scalar(q + i, acc + i, first, second, n - i);
}

void qm_rescale_f16_avx2(float *restrict y, const int32_t *restrict acc, float first, float second,
                         size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_VEC; i += QM_VEC) {
        __m128i half = _mm256_cvtps_ph(rescale(acc + i, first, second), _MM_FROUND_TO_NEAREST_INT);
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(half));
    }
    qm_rescale_f16_scalar(y + i, acc + i, first, second, n - i);
}

/* Eight codes as integers, zeros behind the last. */
static inline __m256i load_codes(const int8_t *q, size_t left)
{
    if (left >= QM_VEC) return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q));
    int64_t padded = 0;
    memcpy(&padded, q, left);
    return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(padded));
}

void qm_dequantize_i8_avx2(float *restrict y, const int8_t *restrict q, float scale, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 code = _mm256_cvtepi32_ps(load_codes(q + i, n - i));
        qm_store_avx2(y + i, _mm256_mul_ps(_mm256_set1_ps(scale), code), n - i);
    }
}

/* fma(scale, sum, bias) */
static inline __m256 affine(__m256i sum, float scale, const float *bias, size_t left)
{
    return _mm256_fmadd_ps(_mm256_set1_ps(scale), _mm256_cvtepi32_ps(sum),
                           qm_load_avx2(bias, left));
}

void qm_affine_i8_avx2(float *restrict y, const int8_t *restrict q, float scale,
                       const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC)
        qm_store_avx2(y + i, affine(load_codes(q + i, n - i), scale, bias + i, n - i), n - i);
}

void qm_conv_i8_avx2(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                     size_t ldw, float scale, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c += QM_VEC) {
        __m256i sum = _mm256_setzero_si256();
        for (size_t k = 0; k < width; k++)
            sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(load_codes(w + k * ldw + c, n - c),
                                                           load_codes(taps[k] + c, n - c)));
        qm_store_avx2(y + c, affine(sum, scale, bias + c, n - c), n - c);
    }
}
