#include "model/binder.h"

#include <string.h>

enum {
    TILE = 64,         /* a cache line of either side */
    PARALLEL = 1 << 18 /* bytes from which waking threads pays */
};

/* Swaps, across the diagonal, what mask selects of b with the same `shift` bits higher in a. */
static inline void swap(uint64_t *a, uint64_t *b, int shift, uint64_t mask)
{
    uint64_t difference = (*a >> shift ^ *b) & mask;
    *b ^= difference;
    *a ^= difference << shift;
}

/* 8 x 8 bytes: rows of in, in_stride apart, become columns of out.  Blocks of 4 x 4, 2 x 2 and
 * single bytes change places. */
static void transpose_8x8(int8_t *out, size_t out_stride, const int8_t *in, size_t in_stride)
{
    uint64_t x[8];
    for (size_t i = 0; i < 8; i++)
        memcpy(&x[i], in + i * in_stride, 8);
    for (size_t i = 0; i < 4; i++)
        swap(&x[i], &x[i + 4], 32, 0x00000000ffffffffu);
    for (size_t i = 0; i < 8; i += i & 1 ? 3 : 1) /* 0 1 4 5 */
        swap(&x[i], &x[i + 2], 16, 0x0000ffff0000ffffu);
    for (size_t i = 0; i < 8; i += 2)
        swap(&x[i], &x[i + 1], 8, 0x00ff00ff00ff00ffu);
    for (size_t i = 0; i < 8; i++)
        memcpy(out + i * out_stride, &x[i], 8);
}

/* One tile; a full one is copied first, since its rows can be a power of two apart, where they
 * would push each other out of the cache. */
static void transpose_tile(int8_t *out, int64_t out_stride, const int8_t *in, int64_t n_rows,
                           int64_t n_columns, int64_t row_stride, int64_t column_stride)
{
    int8_t tile[TILE * TILE];
    if (n_rows < TILE || n_columns < TILE || column_stride != 1) {
        for (int64_t c = 0; c < n_columns; c++)
            for (int64_t r = 0; r < n_rows; r++)
                out[c * out_stride + r] = in[r * row_stride + c * column_stride];
        return;
    }
    for (int64_t r = 0; r < TILE; r++)
        memcpy(tile + r * TILE, in + r * row_stride, TILE);
    for (int64_t c = 0; c < TILE; c += 8)
        for (int64_t r = 0; r < TILE; r += 8)
            transpose_8x8(out + c * out_stride + r, (size_t)out_stride, tile + r * TILE + c, TILE);
}

void qm_transpose_i8(int8_t *out, const int8_t *in, int64_t n_rows, int64_t n_columns,
                     int64_t row_stride, int64_t column_stride, int32_t n_threads)
{
    const bool large = n_rows * n_columns > PARALLEL;
#pragma omp parallel for num_threads(n_threads) schedule(static) if (large)
    for (int64_t c = 0; c < n_columns; c += TILE)
        for (int64_t r = 0; r < n_rows; r += TILE)
            transpose_tile(out + c * n_rows + r, n_rows, in + r * row_stride + c * column_stride,
                           n_rows - r < TILE ? n_rows - r : TILE,
                           n_columns - c < TILE ? n_columns - c : TILE, row_stride, column_stride);
}
