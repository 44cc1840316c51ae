/* INT8 products, whole, over add_products(sum, a, b): to each lane of sum the products of four
 * pairs of the sixteen, in any grouping.  The file that includes this defines it before. */
#ifndef QM_KERNELS_NEON_PRODUCTS_H
#define QM_KERNELS_NEON_PRODUCTS_H

#include "kernels/streams.h"

#include <string.h>

enum {
    STEP = 16,  /* codes in a register */
    TILE_W = 4, /* rows of w of a tile, */
    TILE_X = 4  /* and of x */
};

/* The first n of 16 terms, zeros behind them. */
static inline int8x16_t load_first(const int8_t *x, size_t n)
{
    int8_t padded[STEP] = {0};
    memcpy(padded, x, n);
    return vld1q_s8(padded);
}

/* rows_w rows of w, apart rows from each other, by rows_x rows of x. */
QM_TILE_INLINE void tile(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                         size_t apart, const int8_t *restrict x, size_t ldx, size_t k,
                         const size_t rows_w, const size_t rows_x)
{
    const size_t step = apart * k;
    int32x4_t sum[TILE_X][TILE_W];
    int8x16_t xs[TILE_X];
    QM_UNROLL for (size_t r = 0; r < rows_x; r++) QM_UNROLL for (size_t j = 0; j < TILE_W; j++)
        sum[r][j] = vdupq_n_s32(0);
    size_t i = 0;
    for (; k - i >= STEP; i += STEP) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++) xs[r] = vld1q_s8(x + r * ldx + i);
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            int8x16_t ws = vld1q_s8(w + j * step + i);
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] =
                add_products(sum[r][j], ws, xs[r]);
        }
    }
    if (i < k) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++) xs[r] = load_first(x + r * ldx + i, k - i);
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            int8x16_t ws = load_first(w + j * step + i, k - i);
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] =
                add_products(sum[r][j], ws, xs[r]);
        }
    }
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        int32_t out[TILE_W];
        vst1q_s32(out,
                  vpaddq_s32(vpaddq_s32(sum[r][0], sum[r][1]), vpaddq_s32(sum[r][2], sum[r][3])));
        QM_UNROLL for (size_t j = 0; j < rows_w; j++) acc[r * ldacc + j * apart] = out[j];
    }
}

_Static_assert(TILE_W == 4, "rows of a tile are the streams");
QM_FOUR_STREAMS(tiles, tile)

static inline void matmul(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                          const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    for (size_t j = 0; j < n; j += QM_I8_TILE) { /* weights that a cache holds */
        const size_t width = n - j < QM_I8_TILE ? n - j : QM_I8_TILE;
        const int8_t *wj = w + j * k;
        size_t i = 0;
        for (; m - i >= TILE_X; i += TILE_X)
            tiles(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, TILE_X);
        for (; i < m; i++)
            tiles(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 1);
    }
}

#endif
