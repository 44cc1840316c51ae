/* Products in AMX tiles: tdpbssd multiplies 16 rows of 64 signed codes by 64 x 16, and is exact for
 * all of them.  x is taken as it lies; the weights are packed, four terms of an output side by
 * side.  The instructions used are _tile_loadconfig, _tile_zero, _tile_loadd, _tile_dpbssd,
 * _tile_stored and _tile_release and no others: checkkern runs this file over their definition in
 * plain C.  Tile numbers are digits because gcc pastes them into the instruction. */
#include "kernels/kernels.h"
#include "kernels/tile.h"

#include <immintrin.h>
#include <stdbool.h>

enum {
    SIDE = 16,          /* rows of a tile, and sums in one of its rows */
    DEPTH = 64,         /* codes in a row of a tile */
    TILE_BYTES = 1024,  /* SIDE * DEPTH, and SIDE * SIDE sums */
    BLOCK_X = 2 * SIDE, /* rows of x and */
    BLOCK_W = 2 * SIDE, /* outputs that share a round of loads: tiles 0 to 3 are their sums */
    PACKING_PAYS = 16   /* rows of x from which on it is faster than the kernel that packs not */
};
_Static_assert(BLOCK_X *DEPTH + TILE_BYTES <= QM_I8_TILE * 64, "fits behind the packed weights");

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

/* Packs n (0..16) rows of w, from the row first on, to tiles of 16 x 64, tiles apart bytes from
 * each other: in row i of a tile four terms, from 4 i on, of each of 16 outputs.  Terms and outputs
 * that are not there are zero up to the next four rows; the rows behind, which meet zeros of x, are
 * left as they are. */
static void pack(int8_t *restrict packed, size_t apart, const int8_t *restrict w, size_t first,
                 size_t n, size_t k)
{
    for (size_t i = 0; i < k; i += SIDE) { /* four groups of four terms: four rows of a tile */
        const __mmask16 terms = (__mmask16)(k - i >= 16 ? 0xffffu : (1u << (k - i)) - 1u);
        __m512i in[4]; /* register r: outputs r, r + 4, r + 8, r + 12 */
        QM_UNROLL for (size_t r = 0; r < 4; r++)
        {
            __m128i part[4];
            QM_UNROLL for (size_t q = 0; q < 4; q++)
            {
                const size_t row = 4 * q + r;
                part[q] = row < n ? _mm_maskz_loadu_epi8(terms, w + (first + row) * k + i)
                                  : _mm_setzero_si128();
            }
            in[r] = _mm512_castsi128_si512(part[0]);
            in[r] = _mm512_inserti32x4(in[r], part[1], 1);
            in[r] = _mm512_inserti32x4(in[r], part[2], 2);
            in[r] = _mm512_inserti32x4(in[r], part[3], 3);
        }
        __m512i lo01 = _mm512_unpacklo_epi32(in[0], in[1]);
        __m512i hi01 = _mm512_unpackhi_epi32(in[0], in[1]);
        __m512i lo23 = _mm512_unpacklo_epi32(in[2], in[3]);
        __m512i hi23 = _mm512_unpackhi_epi32(in[2], in[3]);
        int8_t *to = packed + i / DEPTH * apart + i % DEPTH * SIDE;
        _mm512_storeu_si512(to, _mm512_unpacklo_epi64(lo01, lo23));
        _mm512_storeu_si512(to + DEPTH, _mm512_unpackhi_epi64(lo01, lo23));
        _mm512_storeu_si512(to + 2 * DEPTH, _mm512_unpacklo_epi64(hi01, hi23));
        _mm512_storeu_si512(to + 3 * DEPTH, _mm512_unpackhi_epi64(hi01, hi23));
    }
}

/* One step of depth: the tiles of 32 (two) or 16 rows of x times those of 32 packed outputs. */
QM_TILE_INLINE void multiply(const int8_t *packed, const int8_t *x, size_t ldx, const bool two)
{
    _tile_loadd(6, packed, DEPTH);
    _tile_loadd(7, packed + TILE_BYTES, DEPTH);
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

/* rows (1..32) rows of x, configured, by n (1..32) packed outputs.  The last codes of x are
 * copied, zeros behind them, so that no tile reads past its row. */
QM_TILE_INLINE void block(int32_t *restrict acc, size_t ldacc, const int8_t *restrict packed,
                          const int8_t *restrict x, size_t ldx, size_t rows, size_t n, size_t k,
                          int8_t *restrict copies, const bool two)
{
    int32_t *buffer = (int32_t *)(void *)(copies + BLOCK_X * DEPTH);
    _tile_zero(0);
    _tile_zero(1);
    if (two) {
        _tile_zero(2);
        _tile_zero(3);
    }
    size_t i = 0;
    for (; k - i >= DEPTH; i += DEPTH, packed += 2 * TILE_BYTES)
        multiply(packed, x + i, ldx, two);
    if (i < k) {
        const __mmask64 terms = ((__mmask64)1 << (k - i)) - 1;
        for (size_t r = 0; r < rows; r++)
            _mm512_storeu_si512(copies + r * DEPTH,
                                _mm512_maskz_loadu_epi8(terms, x + r * ldx + i));
        written(copies);
        multiply(packed, copies, DEPTH, two);
    }
    const size_t first = rows < SIDE ? rows : SIDE, next = rows - first;
    STORE(0, acc, ldacc, buffer, first, n);
    if (n > SIDE) STORE(1, acc + SIDE, ldacc, buffer, first, n - SIDE);
    if (!two) return;
    acc += SIDE * ldacc;
    STORE(2, acc, ldacc, buffer, next, n);
    if (n > SIDE) STORE(3, acc + SIDE, ldacc, buffer, next, n - SIDE);
}

void qm_matmul_i8_amx(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                      const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                      void *scratch)
{
    if (m < PACKING_PAYS) {
        qm_matmul_i8_avx512vnni(acc, ldacc, w, x, ldx, m, n, k, scratch);
        return;
    }
    const size_t depth = (k + DEPTH - 1) / DEPTH * DEPTH, whole = m / BLOCK_X * BLOCK_X;
    for (size_t j = 0; j < n; j += BLOCK_W) {
        const size_t width = n - j < BLOCK_W ? n - j : BLOCK_W;
        int8_t *packed = scratch, *copies = packed + depth * QM_I8_TILE;
        for (size_t side = 0; side < 2; side++) {
            const size_t at = side * SIDE, left = width > at ? width - at : 0;
            pack(packed + side * TILE_BYTES, 2 * TILE_BYTES, w, j + at, left < SIDE ? left : SIDE,
                 k);
        }
        written(packed);
        if (whole > 0) configure(BLOCK_X);
        for (size_t i = 0; i < whole; i += BLOCK_X)
            block(acc + i * ldacc + j, ldacc, packed, x + i * ldx, ldx, BLOCK_X, width, k, copies,
                  true);
        const size_t rest = m - whole;
        if (rest > 0) configure(rest);
        if (rest > SIDE)
            block(acc + whole * ldacc + j, ldacc, packed, x + whole * ldx, ldx, rest, width, k,
                  copies, true);
        else if (rest > 0)
            block(acc + whole * ldacc + j, ldacc, packed, x + whole * ldx, ldx, rest, width, k,
                  copies, false);
    }
    _tile_release();
}
