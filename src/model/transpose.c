#include "model/binder.h"

#include <string.h>

enum {
    TILE = 64,  /* a cache line of either side */
    BLOCK = 512 /* columns that a thread takes at a time */
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
                     int64_t row_stride, int64_t column_stride)
{
    for (int64_t c = 0; c < n_columns; c += TILE)
        for (int64_t r = 0; r < n_rows; r += TILE)
            transpose_tile(out + c * n_rows + r, n_rows, in + r * row_stride + c * column_stride,
                           n_rows - r < TILE ? n_rows - r : TILE,
                           n_columns - c < TILE ? n_columns - c : TILE, row_stride, column_stride);
}

quamba_status qm_bind_turn(qm_binder *b, const qm_tensor *t, int8_t *out, int32_t n_out)
{
    if (!qm_grow(&b->turns, &b->turns_capacity, b->n_turns + 1, sizeof *b->turns))
        return qm_fail_memory(b->err, (b->n_turns + 1) * sizeof *b->turns, b->name);
    b->turns[b->n_turns++] = (qm_turn){t, out, n_out, 0};
    return QUAMBA_OK;
}

static int32_t block_count(const qm_turn *turn) { return (turn->n_out + BLOCK - 1) / BLOCK; }

/* Columns first .. first + BLOCK of a turn. */
static void turn_block(const qm_turn *turn, int64_t first)
{
    const qm_tensor *t = turn->tensor;
    const int64_t n = turn->n_out - first < BLOCK ? turn->n_out - first : BLOCK;
    qm_transpose_i8(turn->out + first * t->shape[0], (const int8_t *)t->data + first * t->stride[1],
                    t->shape[0], n, t->stride[0], t->stride[1]);
}

void qm_bind_turn_all(qm_binder *b)
{
    int64_t n_blocks = 0;
    for (size_t i = 0; i < b->n_turns; i++) {
        b->turns[i].n_left = block_count(&b->turns[i]);
        n_blocks += b->turns[i].n_left;
    }
#pragma omp parallel for num_threads(b->n_threads) schedule(dynamic)
    for (int64_t k = 0; k < n_blocks; k++) {
        size_t i = 0;
        int64_t block = k;
        int32_t left;
        for (; block >= block_count(&b->turns[i]); i++)
            block -= block_count(&b->turns[i]);
        turn_block(&b->turns[i], block * BLOCK);
#pragma omp atomic capture
        left = --b->turns[i].n_left;
        if (left == 0 && b->model->source) qm_source_discard(b->model->source, b->turns[i].tensor);
    }
}
