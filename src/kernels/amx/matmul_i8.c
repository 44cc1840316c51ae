/* Products in AMX tiles: tdpbssd multiplies 16 rows of 64 signed codes by 64 x 16, and is exact for
 * all of them.  x is taken as it lies, and so are packed weights, whose groups are the rows of a
 * tile.  The instructions used are _tile_loadconfig, _tile_zero, _tile_loadd, _tile_dpbssd,
 * _tile_stored and _tile_release and no others: checkkern runs this file over their definition in
 * plain C.  Tile numbers are digits because gcc pastes them into the instruction. */
#include "kernels/kernels.h"
#include "kernels/tile.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum {
    SIDE = 16,          /* rows of a tile, sums in one of its rows, outputs of a panel */
    DEPTH = 64,         /* codes in a row of a tile: terms of x, or a group of w */
    TILE_BYTES = 1024,  /* SIDE * DEPTH, and SIDE * SIDE sums */
    BLOCK_X = 2 * SIDE, /* rows of x and */
    BLOCK_W = 2 * SIDE  /* outputs that share a round of loads: tiles 0 to 3 are their sums */
};
_Static_assert((int)SIDE == QM_PACK_OUTPUTS && (int)DEPTH == QM_PACK_GROUP,
               "a panel is a column of tiles");

/* In a product's scratch: the last terms of a block, with zeros of x where there are none so that
 * no tile reads past its row, and sums of which not all are wanted. */
typedef struct tails {
    int8_t x[BLOCK_X * DEPTH], w[2 * TILE_BYTES];
    int32_t sums[SIDE * SIDE];
} tails;
_Static_assert(sizeof(tails) <= QM_I8_SCRATCH, "fits the scratch");

/* What ldtilecfg reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "as the instruction reads it");

/* gcc does not know which bytes a tile instruction reads: what was written is in memory now. */
static inline void written(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

/* Tiles 0, 1 and 2, 3: sums of the first and of the next 16 rows of x, whose codes are tiles 4 and
 * 5; tiles 6, 7: 32 packed outputs.  rows: of x, 1..32; with up to 16, tiles 2, 3 and 5 are none.
 */
static void configure(size_t rows)
{
    const uint8_t first = (uint8_t)(rows < SIDE ? rows : SIDE), next = (uint8_t)(rows - first);
    tile_config c = {.palette = 1};
    const uint8_t counts[] = {first, first, next, next, first, next, SIDE, SIDE};
    for (size_t t = 0; t < sizeof counts; t++) {
        c.rows[t] = counts[t];
        c.row_bytes[t] = counts[t] ? DEPTH : 0;
    }
    written(&c);
    _tile_loadconfig(&c);
}

/* One step of depth: the tiles of 32 (two) or 16 rows of x times those of two panels. */
QM_TILE_INLINE void multiply(const int8_t *w, size_t w_apart, const int8_t *x, size_t ldx,
                             const bool two)
{
    _tile_loadd(6, w, DEPTH);
    _tile_loadd(7, w + w_apart, DEPTH);
    _tile_loadd(4, x, ldx);
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    if (!two) return;
    _tile_loadd(5, x + SIDE * ldx, ldx);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
}

/* The first n of 16 columns of the sums in buffer. */
static void copy_columns(int32_t *restrict acc, size_t ldacc, const int32_t *restrict buffer,
                         size_t rows, size_t n)
{
    const __mmask16 mask = (__mmask16)((1u << n) - 1u);
    for (size_t i = 0; i < rows; i++)
        _mm512_mask_storeu_epi32(acc + i * ldacc, mask, _mm512_loadu_si512(buffer + i * SIDE));
}

/* A tile of sums to rows rows of acc, n columns of them wanted. */
#define STORE(tile, acc, ldacc, buffer, rows, n)                                                   \
    do {                                                                                           \
        if ((n) >= SIDE) {                                                                         \
            _tile_stored(tile, acc, (ldacc) * sizeof(int32_t));                                    \
        } else {                                                                                   \
            _tile_stored(tile, buffer, DEPTH);                                                     \
            copy_columns(acc, ldacc, buffer, rows, n);                                             \
        }                                                                                          \
    } while (0)

/* rows (1..32) rows of x, configured, by n (1..32) outputs of two panels. */
QM_TILE_INLINE void block(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                          size_t w_apart, const int8_t *restrict x, size_t ldx, size_t rows,
                          size_t n, size_t k, tails *restrict t, const bool two)
{
    _tile_zero(0);
    _tile_zero(1);
    if (two) {
        _tile_zero(2);
        _tile_zero(3);
    }
    size_t i = 0;
    for (; k - i >= DEPTH; i += DEPTH, w += TILE_BYTES)
        multiply(w, w_apart, x + i, ldx, two);
    if (i < k) {
        const __mmask64 terms = ((__mmask64)1 << (k - i)) - 1;
        for (size_t r = 0; r < rows; r++)
            _mm512_storeu_si512(t->x + r * DEPTH, _mm512_maskz_loadu_epi8(terms, x + r * ldx + i));
        written(t);
        multiply(t->w, TILE_BYTES, t->x, DEPTH, two);
    }
    const size_t first = rows < SIDE ? rows : SIDE, next = rows - first;
    STORE(0, acc, ldacc, t->sums, first, n);
    if (n > SIDE) STORE(1, acc + SIDE, ldacc, t->sums, first, n - SIDE);
    if (!two) return;
    acc += SIDE * ldacc;
    STORE(2, acc, ldacc, t->sums, next, n);
    if (n > SIDE) STORE(3, acc + SIDE, ldacc, t->sums, next, n - SIDE);
}

void qm_matmul_i8_amx(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                      const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                      void *scratch)
{
    tails *t = scratch;
    const size_t panel = qm_panel_bytes(k), last = panel - k / DEPTH * TILE_BYTES,
                 rest = m % BLOCK_X;
    for (size_t j = 0; j < n; j += BLOCK_W) {
        const size_t width = n - j < BLOCK_W ? n - j : BLOCK_W;
        const size_t apart = width > SIDE ? panel : 0; /* a panel alone takes both places */
        const int8_t *wj = w + qm_packed_at(j, 0, k);
        memcpy(t->w, wj + panel - last, last);
        memcpy(t->w + TILE_BYTES, wj + apart + panel - last, last);
        written(t);
        if (m > rest) configure(BLOCK_X);
        size_t i = 0;
        for (; m - i >= BLOCK_X; i += BLOCK_X)
            block(acc + i * ldacc + j, ldacc, wj, apart, x + i * ldx, ldx, BLOCK_X, width, k, t,
                  true);
        if (rest > 0) configure(rest);
        if (rest > SIDE)
            block(acc + i * ldacc + j, ldacc, wj, apart, x + i * ldx, ldx, rest, width, k, t, true);
        else if (rest > 0)
            block(acc + i * ldacc + j, ldacc, wj, apart, x + i * ldx, ldx, rest, width, k, t,
                  false);
    }
    _tile_release();
}
