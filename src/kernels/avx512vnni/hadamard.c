/* Up to eight registers at a time go through all butterflies that stay among them.  A term with a
 * sign is added by a fused step: the product with 1 or -1 is exact. */
#include "kernels/avx512vnni/vmath.h"
#include "kernels/tile.h"

enum {
    GROUP = 8, /* registers */
    MAX_MIX = 40
};

/* (a, b) -> (a + b, a - b) for pairs within a register: lanes of b are those of minus. */
static inline __m512 butterfly(__m512 v, __m512 swapped, __mmask16 minus)
{
    const __m512 sign = _mm512_mask_blend_ps(minus, _mm512_set1_ps(1.0f), _mm512_set1_ps(-1.0f));
    return _mm512_fmadd_ps(v, sign, swapped);
}

/* Strides 1, 2, 4 and 8. */
static inline __m512 inner_strides(__m512 v)
{
    v = butterfly(v, _mm512_permute_ps(v, _MM_SHUFFLE(2, 3, 0, 1)), 0xaaaa);
    v = butterfly(v, _mm512_permute_ps(v, _MM_SHUFFLE(1, 0, 3, 2)), 0xcccc);
    v = butterfly(v, _mm512_shuffle_f32x4(v, v, _MM_SHUFFLE(2, 3, 0, 1)), 0xf0f0);
    return butterfly(v, _mm512_shuffle_f32x4(v, v, _MM_SHUFFLE(1, 0, 3, 2)), 0xff00);
}

/* n registers (a power of two), apart floats from each other: butterflies among them, before those
 * within them where wanted. */
QM_TILE_INLINE void group(float *to, const float *from, size_t apart, bool inner, float scale,
                          const size_t n)
{
    __m512 v[GROUP];
    QM_UNROLL for (size_t i = 0; i < n; i++)
    {
        v[i] = _mm512_loadu_ps(from + i * apart);
        if (inner) v[i] = inner_strides(v[i]);
    }
    QM_UNROLL for (size_t stride = 1; stride < n; stride *= 2)
        QM_UNROLL for (size_t i = 0; i < n; i++)
    {
        if (i & stride) continue;
        const __m512 a = v[i], b = v[i + stride];
        v[i] = _mm512_add_ps(a, b);
        v[i + stride] = _mm512_sub_ps(a, b);
    }
    QM_UNROLL for (size_t i = 0; i < n; i++)
        _mm512_storeu_ps(to + i * apart, _mm512_mul_ps(v[i], _mm512_set1_ps(scale)));
}

static void group_of(float *to, const float *from, size_t apart, bool inner, float scale, size_t n)
{
    if (n == 8)
        group(to, from, apart, inner, scale, 8);
    else if (n == 4)
        group(to, from, apart, inner, scale, 4);
    else if (n == 2)
        group(to, from, apart, inner, scale, 2);
    else
        group(to, from, apart, inner, scale, 1);
}

/* One block of width >= 16, all strides; the last pass multiplies by scale. */
static void transform(float *to, const float *from, size_t width, float scale)
{
    size_t n = width / QM_WIDE < GROUP ? width / QM_WIDE : GROUP;
    for (size_t i = 0; i < width; i += n * QM_WIDE)
        group_of(to + i, from + i, QM_WIDE, true, n * QM_WIDE == width ? scale : 1.0f, n);
    for (size_t stride = n * QM_WIDE; stride < width; stride *= n) {
        n = width / stride < GROUP ? width / stride : GROUP;
        const float factor = stride * n == width ? scale : 1.0f;
        for (size_t i = 0; i < width; i += n * stride)
            for (size_t j = i; j < i + stride; j += QM_WIDE)
                group_of(to + j, to + j, stride, false, factor, n);
    }
}

/* 16 * n columns of one row of the mix. */
QM_TILE_INLINE void mix(float *restrict x, const float *restrict from, const float *restrict signs,
                        size_t m, size_t width, float scale, const size_t n)
{
    __m512 sum[4];
    QM_UNROLL for (size_t v = 0; v < n; v++) sum[v] = _mm512_setzero_ps();
    for (size_t c = 0; c < m; c++) {
        const __m512 sign = _mm512_set1_ps(signs[c]);
        QM_UNROLL for (size_t v = 0; v < n; v++) sum[v] =
            _mm512_fmadd_ps(_mm512_loadu_ps(from + c * width + v * QM_WIDE), sign, sum[v]);
    }
    QM_UNROLL for (size_t v = 0; v < n; v++)
        _mm512_storeu_ps(x + v * QM_WIDE, _mm512_mul_ps(sum[v], _mm512_set1_ps(scale)));
}

void qm_hadamard_f32_avx512vnni(float *restrict x, float *restrict scratch,
                                const int8_t *restrict signs, size_t m, size_t width, float scale)
{
    if (width < QM_WIDE || m > MAX_MIX) {
        qm_hadamard_f32_avx2(x, scratch, signs, m, width, scale);
        return;
    }
    if (m == 1) {
        transform(x, x, width, scale);
        return;
    }
    for (size_t c = 0; c < m; c++)
        transform(scratch + c * width, x + c * width, width, 1.0f);
    float factors[MAX_MIX];
    for (size_t row = 0; row < m; row++, x += width, signs += m) {
        for (size_t c = 0; c < m; c++)
            factors[c] = signs[c] > 0 ? 1.0f : -1.0f;
        size_t r = 0;
        for (; width - r >= 4 * QM_WIDE; r += 4 * QM_WIDE)
            mix(x + r, scratch + r, factors, m, width, scale, 4);
        for (; r < width; r += QM_WIDE)
            mix(x + r, scratch + r, factors, m, width, scale, 1);
    }
}
