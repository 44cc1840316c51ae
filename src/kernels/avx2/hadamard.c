#include "kernels/avx2/vmath.h"
#include "kernels/tile.h"

/* (a, b) -> (a + b, a - b) for pairs within a register: swapped + (a, -b), the lanes of b negated
 * by the sign. */
static inline __m256 butterfly(__m256 v, __m256 swapped, __m256 sign)
{
    return _mm256_add_ps(swapped, _mm256_xor_ps(v, sign));
}

/* Strides 1, 2 and 4, as far as they are below width. */
static inline __m256 inner_strides(__m256 v, size_t width)
{
    const float minus = -0.0f;
    if (width > 1)
        v = butterfly(v, _mm256_permute_ps(v, _MM_SHUFFLE(2, 3, 0, 1)),
                      _mm256_setr_ps(0, minus, 0, minus, 0, minus, 0, minus));
    if (width > 2)
        v = butterfly(v, _mm256_permute_ps(v, _MM_SHUFFLE(1, 0, 3, 2)),
                      _mm256_setr_ps(0, 0, minus, minus, 0, 0, minus, minus));
    if (width > 4)
        v = butterfly(v, _mm256_permute2f128_ps(v, v, 1),
                      _mm256_setr_ps(0, 0, 0, 0, minus, minus, minus, minus));
    return v;
}

/* n_vectors registers of one row of the mix, left floats of them wanted; the sums in x. */
QM_TILE_INLINE void mix(float *restrict x, const float *restrict from, const int8_t *restrict signs,
                        size_t m, size_t width, float scale, size_t left, const size_t n_vectors)
{
    __m256 sum[4];
    QM_UNROLL for (size_t v = 0; v < n_vectors; v++) sum[v] = _mm256_setzero_ps();
    for (size_t c = 0; c < m; c++) {
        __m256 sign =
            _mm256_and_ps(_mm256_set1_ps(-0.0f), _mm256_castsi256_ps(_mm256_set1_epi32(signs[c])));
        QM_UNROLL for (size_t v = 0; v < n_vectors; v++)
        {
            const size_t at = v * QM_VEC;
            __m256 term = qm_load_avx2(from + c * width + at, left - at);
            sum[v] = _mm256_add_ps(sum[v], _mm256_xor_ps(term, sign));
        }
    }
    QM_UNROLL for (size_t v = 0; v < n_vectors; v++) qm_store_avx2(
        x + v * QM_VEC, _mm256_mul_ps(sum[v], _mm256_set1_ps(scale)), left - v * QM_VEC);
}

void qm_hadamard_f32_avx2(float *restrict x, float *restrict scratch, const int8_t *restrict signs,
                          size_t m, size_t width, float scale)
{
    const size_t n = m * width;
    float *to = m > 1 ? scratch : x; /* the mix cannot be made in place */
    for (size_t i = 0; i < n; i += QM_VEC)
        qm_store_avx2(to + i, inner_strides(qm_load_avx2(x + i, n - i), width), n - i);
    for (size_t stride = QM_VEC; stride < width; stride *= 2)
        for (size_t i = 0; i < n; i += 2 * stride)
            for (size_t j = i; j < i + stride; j += QM_VEC) {
                __m256 a = _mm256_loadu_ps(to + j), b = _mm256_loadu_ps(to + j + stride);
                _mm256_storeu_ps(to + j, _mm256_add_ps(a, b));
                _mm256_storeu_ps(to + j + stride, _mm256_sub_ps(a, b));
            }
    if (m == 1)
        for (size_t i = 0; i < n; i += QM_VEC)
            qm_store_avx2(x + i, _mm256_mul_ps(qm_load_avx2(x + i, n - i), _mm256_set1_ps(scale)),
                          n - i);
    else
        for (size_t row = 0; row < m; row++, x += width, signs += m) {
            size_t r = 0;
            for (; width - r >= 4 * QM_VEC; r += 4 * QM_VEC)
                mix(x + r, scratch + r, signs, m, width, scale, 4 * QM_VEC, 4);
            for (; r < width; r += QM_VEC)
                mix(x + r, scratch + r, signs, m, width, scale, width - r, 1);
        }
}
