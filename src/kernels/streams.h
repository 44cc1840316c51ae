/* How products of rows of weights as they lie walk through a matrix. */
#ifndef QM_KERNELS_STREAMS_H
#define QM_KERNELS_STREAMS_H

#include "kernels/tile.h"

/* Defines name: n rows of w by rows_x rows of x, of tiles that take four rows of w (or one) some
 * rows apart.  Four rows a quarter of the matrix apart: long streams are what a processor's
 * prefetcher follows best.  A macro, so that the tile is inlined with constant bounds. */
#define QM_FOUR_STREAMS(name, tile)                                                                \
    QM_TILE_INLINE void name(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,        \
                             const int8_t *restrict x, size_t ldx, size_t n, size_t k,             \
                             const size_t rows_x)                                                  \
    {                                                                                              \
        const size_t quarter = n / 4;                                                              \
        for (size_t j = 0; j < quarter; j++)                                                       \
            tile(acc + j, ldacc, w + j * k, quarter, x, ldx, k, 4, rows_x);                        \
        for (size_t j = 4 * quarter; j < n; j++)                                                   \
            tile(acc + j, ldacc, w + j * k, 1, x, ldx, k, 1, rows_x);                              \
    }

#endif
