/* Codes are widened to 16 bits and multiplied in pairs (vpmaddwd), which is exact for all of them:
 * vpmaddubsw with flipped signs is not where a -128 meets a -128. */
#include "kernels/kernels.h"
#include "kernels/streams.h"

#include <immintrin.h>
#include <string.h>

enum {
    STEP = 16,  /* codes in a register */
    TILE_W = 4, /* rows of w of a tile, */
    TILE_X = 2  /* and of x: with three the sums do not fit the registers */
};

static inline __m256i widen(const int8_t *x)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* The first n of 16 terms, zeros behind them. */
static inline __m256i widen_first(const int8_t *x, size_t n)
{
    int8_t padded[STEP] = {0};
    memcpy(padded, x, n);
    return widen(padded);
}

/* The sums of four registers, in order. */
static inline __m128i sum_four(const __m256i v[TILE_W])
{
    __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
}

/* rows_w rows of w, apart rows from each other, by rows_x rows of x. */
QM_TILE_INLINE void tile(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                         size_t apart, const int8_t *restrict x, size_t ldx, size_t k,
                         const size_t rows_w, const size_t rows_x)
{
    const size_t step = apart * k;
    __m256i sum[TILE_X][TILE_W], xs[TILE_X];
    QM_UNROLL for (size_t r = 0; r < rows_x; r++) QM_UNROLL for (size_t j = 0; j < TILE_W; j++)
        sum[r][j] = _mm256_setzero_si256();
    size_t i = 0;
    for (; k - i >= STEP; i += STEP) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++) xs[r] = widen(x + r * ldx + i);
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            __m256i ws = widen(w + j * step + i);
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] =
                _mm256_add_epi32(sum[r][j], _mm256_madd_epi16(ws, xs[r]));
        }
    }
    if (i < k) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++) xs[r] = widen_first(x + r * ldx + i, k - i);
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            __m256i ws = widen_first(w + j * step + i, k - i);
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] =
                _mm256_add_epi32(sum[r][j], _mm256_madd_epi16(ws, xs[r]));
        }
    }
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        int32_t out[TILE_W];
        _mm_storeu_si128((__m128i *)out, sum_four(sum[r]));
        QM_UNROLL for (size_t j = 0; j < rows_w; j++) acc[r * ldacc + j * apart] = out[j];
    }
}

_Static_assert(TILE_W == 4, "rows of a tile are the streams");
QM_FOUR_STREAMS(tiles, tile)

void qm_matvec_i8_avx2(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                       size_t n, size_t k)
{
    tiles(acc, 0, w, x, 0, n, k, 1);
}

void qm_matmul_i8_avx2(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                       const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                       void *scratch)
{
    (void)scratch;
    for (size_t j = 0; j < n; j += QM_I8_TILE) { /* weights that a cache holds */
        const size_t width = n - j < QM_I8_TILE ? n - j : QM_I8_TILE;
        size_t i = 0;
        for (; m - i >= TILE_X; i += TILE_X)
            tiles(acc + i * ldacc + j, ldacc, w + j * k, x + i * ldx, ldx, width, k, TILE_X);
        if (i < m) tiles(acc + i * ldacc + j, ldacc, w + j * k, x + i * ldx, ldx, width, k, 1);
    }
}
