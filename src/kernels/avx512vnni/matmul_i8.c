/* vpdpbusd multiplies unsigned by signed bytes, so the weights are taken as w + 128 (a flipped top
 * bit), and 128 times the sum of x is taken off again.  Sums wrap modulo 2^32 on the way and are
 * exact in the end. */
#include "kernels/kernels.h"
#include "kernels/streams.h"

#include <immintrin.h>
#include <string.h>

enum {
    STEP = 64,    /* bytes in a register */
    DIRECT_W = 4, /* rows of w of a tile that is not packed, */
    DIRECT_X = 3  /* and of x: with more the compiler keeps sums in memory */
};

static inline __m512i flip(__m512i w) { return _mm512_xor_si512(w, _mm512_set1_epi8(INT8_MIN)); }

/* 128 x, summed by groups onto sum. */
static inline __m512i add_offset(__m512i sum, __m512i x)
{
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(INT8_MIN), x);
}

/* The sums of four registers, in order. */
static inline __m128i sum_four(const __m512i v[DIRECT_W])
{
    __m512i ab =
        _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i cd =
        _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    __m512i four = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* rows_w rows of w, apart rows from each other, by rows_x rows of x; zeros of x pad the end. */
QM_TILE_INLINE void direct(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                           size_t apart, const int8_t *restrict x, size_t ldx, size_t k,
                           const size_t rows_w, const size_t rows_x)
{
    const size_t step = apart * k;
    __m512i sum[DIRECT_X][DIRECT_W], offset[DIRECT_X];
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        offset[r] = _mm512_setzero_si512();
        QM_UNROLL for (size_t j = 0; j < DIRECT_W; j++) sum[r][j] = _mm512_setzero_si512();
    }
    size_t i = 0;
    for (; k - i >= STEP; i += STEP) {
        __m512i xs[DIRECT_X];
        QM_UNROLL for (size_t r = 0; r < rows_x; r++)
        {
            xs[r] = _mm512_loadu_si512(x + r * ldx + i);
            offset[r] = add_offset(offset[r], xs[r]);
        }
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            __m512i ws = flip(_mm512_loadu_si512(w + j * step + i));
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] =
                _mm512_dpbusd_epi32(sum[r][j], ws, xs[r]);
        }
    }
    if (i < k) {
        const __mmask64 mask = ((__mmask64)1 << (k - i)) - 1;
        QM_UNROLL for (size_t r = 0; r < rows_x; r++)
        {
            __m512i xs = _mm512_maskz_loadu_epi8(mask, x + r * ldx + i);
            offset[r] = add_offset(offset[r], xs);
            QM_UNROLL for (size_t j = 0; j < rows_w; j++) sum[r][j] = _mm512_dpbusd_epi32(
                sum[r][j], flip(_mm512_maskz_loadu_epi8(mask, w + j * step + i)), xs);
        }
    }
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        int32_t out[DIRECT_W];
        QM_UNROLL for (size_t j = 0; j < DIRECT_W; j++) sum[r][j] =
            _mm512_sub_epi32(sum[r][j], offset[r]);
        _mm_storeu_si128((__m128i *)out, sum_four(sum[r]));
        QM_UNROLL for (size_t j = 0; j < rows_w; j++) acc[r * ldacc + j * apart] = out[j];
    }
}

_Static_assert(DIRECT_W == 4, "rows of a tile are the streams");
QM_FOUR_STREAMS(direct_all, direct)

void qm_matvec_i8_avx512vnni(int32_t *restrict acc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t n, size_t k)
{
    direct_all(acc, 0, w, x, 0, n, k, 1);
}

void qm_matmul_i8_avx512vnni(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                             void *scratch)
{
    (void)scratch;
    for (size_t j = 0; j < n; j += QM_I8_TILE) { /* weights that a cache holds */
        const size_t width = n - j < QM_I8_TILE ? n - j : QM_I8_TILE;
        const int8_t *wj = w + j * k;
        size_t i = 0;
        for (; m - i >= DIRECT_X; i += DIRECT_X)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, DIRECT_X);
        if (m - i == 2)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 2);
        else if (m - i == 1)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 1);
    }
}
