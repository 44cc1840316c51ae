/* vpdpbusd multiplies unsigned by signed bytes, so the weights are taken as w + 128 (a flipped top
 * bit), and 128 times the sum of x is taken off again.  Sums wrap modulo 2^32 on the way and are
 * exact in the end. */
#include "kernels/kernels.h"
#include "kernels/tile.h"

#include <immintrin.h>
#include <string.h>

enum {
    STEP = 64,         /* bytes in a register */
    GROUP = 4,         /* bytes that one lane multiplies at a time */
    WIDTH = 16,        /* lanes: outputs of a packed register */
    DIRECT_W = 4,      /* rows of w of a tile that is not packed, */
    DIRECT_X = 3,      /* and of x: with more the compiler keeps sums in memory */
    ROWS = 6,          /* rows of x of a packed tile */
    VECTORS = 2,       /* registers of outputs of it: with four, again sums in memory */
    PACKING_PAYS = 16, /* rows of x from which on it is faster to pack */
    MAX_PACKED = 1024  /* rows of x whose sums fit behind the packed weights */
};
_Static_assert(VECTORS *WIDTH <= QM_I8_TILE, "packed weights fit the scratch");
_Static_assert(MAX_PACKED * sizeof(int32_t) <= QM_I8_TILE * 64, "so do the sums behind them");

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

/* All of w by rows_x rows of x.  Four rows a quarter of the matrix apart: long streams are what the
 * processor's prefetcher follows best. */
QM_TILE_INLINE void direct_all(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                               const int8_t *restrict x, size_t ldx, size_t n, size_t k,
                               const size_t rows_x)
{
    const size_t quarter = n / DIRECT_W;
    for (size_t j = 0; j < quarter; j++)
        direct(acc + j, ldacc, w + j * k, quarter, x, ldx, k, DIRECT_W, rows_x);
    for (size_t j = DIRECT_W * quarter; j < n; j++)
        direct(acc + j, ldacc, w + j * k, 1, x, ldx, k, 1, rows_x);
}

void qm_matvec_i8_avx512vnni(int32_t *restrict acc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t n, size_t k)
{
    direct_all(acc, 0, w, x, 0, n, k, 1);
}

/* Rearranges n (1..64) rows of w: groups of four terms, and for each the outputs side by side, 16
 * to a register.  Outputs up to the next 16 repeat the last row. */
static void pack(__m512i *restrict packed, const int8_t *restrict w, size_t n, size_t k)
{
    const size_t n_vectors = (n + WIDTH - 1) / WIDTH;
    for (size_t v = 0; v < n_vectors; v++) {
        const int8_t *row[WIDTH];
        for (size_t r = 0; r < WIDTH; r++)
            row[r] = w + (v * WIDTH + r < n ? v * WIDTH + r : n - 1) * k;
        for (size_t i = 0; i < k; i += 4 * GROUP) {
            const __mmask16 mask = (__mmask16)(k - i >= 16 ? 0xffffu : (1u << (k - i)) - 1u);
            __m512i in[4]; /* register r: rows r, r + 4, r + 8, r + 12, four groups of each */
            QM_UNROLL for (size_t r = 0; r < 4; r++)
            {
                in[r] = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, row[4 * 0 + r] + i));
                in[r] = _mm512_inserti32x4(in[r], _mm_maskz_loadu_epi8(mask, row[4 + r] + i), 1);
                in[r] = _mm512_inserti32x4(in[r], _mm_maskz_loadu_epi8(mask, row[8 + r] + i), 2);
                in[r] = _mm512_inserti32x4(in[r], _mm_maskz_loadu_epi8(mask, row[12 + r] + i), 3);
                in[r] = flip(in[r]);
            }
            __m512i lo01 = _mm512_unpacklo_epi32(in[0], in[1]);
            __m512i hi01 = _mm512_unpackhi_epi32(in[0], in[1]);
            __m512i lo23 = _mm512_unpacklo_epi32(in[2], in[3]);
            __m512i hi23 = _mm512_unpackhi_epi32(in[2], in[3]);
            __m512i *to = packed + i / GROUP * n_vectors + v;
            _mm512_store_si512(to, _mm512_unpacklo_epi64(lo01, lo23));
            _mm512_store_si512(to + n_vectors, _mm512_unpackhi_epi64(lo01, lo23));
            _mm512_store_si512(to + 2 * n_vectors, _mm512_unpacklo_epi64(hi01, hi23));
            _mm512_store_si512(to + 3 * n_vectors, _mm512_unpackhi_epi64(hi01, hi23));
        }
    }
}

/* Four terms of x, at the end of a row fewer. */
static inline __m512i group(const int8_t *x, size_t n)
{
    int32_t four = 0;
    memcpy(&four, x, n);
    return _mm512_set1_epi32(four);
}

/* rows rows of x by the n outputs of a packed tile of as many registers. */
QM_TILE_INLINE void tile(int32_t *restrict acc, size_t ldacc, const __m512i *restrict packed,
                         const int8_t *restrict x, size_t ldx, const int32_t *restrict offset,
                         size_t n, size_t k, const size_t rows, const size_t vectors)
{
    __m512i sum[ROWS][VECTORS];
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < vectors; v++)
        sum[r][v] = _mm512_set1_epi32(offset[r]);
    size_t i = 0;
    for (; k - i >= GROUP; i += GROUP, packed += vectors)
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            __m512i xs = group(x + r * ldx + i, GROUP);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] =
                _mm512_dpbusd_epi32(sum[r][v], packed[v], xs);
        }
    if (i < k) QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            __m512i xs = group(x + r * ldx + i, k - i);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] =
                _mm512_dpbusd_epi32(sum[r][v], packed[v], xs);
        }
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < vectors; v++)
    {
        const size_t left = n - v * WIDTH;
        const __mmask16 mask = (__mmask16)(left >= WIDTH ? 0xffffu : (1u << left) - 1u);
        _mm512_mask_storeu_epi32(acc + r * ldacc + v * WIDTH, mask, sum[r][v]);
    }
}

QM_TILE_INLINE void tile_rows(int32_t *restrict acc, size_t ldacc, const __m512i *restrict packed,
                              const int8_t *restrict x, size_t ldx, const int32_t *restrict offset,
                              size_t m, size_t n, size_t k, const size_t vectors)
{
    size_t i = 0;
    for (; m - i >= ROWS; i += ROWS)
        tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, ROWS, vectors);
    for (; m - i >= 4; i += 4)
        tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, 4, vectors);
    for (; m - i >= 2; i += 2)
        tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, 2, vectors);
    if (i < m) tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, 1, vectors);
}

/* offset[i] = -128 times the sum of row i. */
static void row_offsets(int32_t *offset, const int8_t *x, size_t ldx, size_t m, size_t k)
{
    for (size_t i = 0; i < m; i++) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t r = 0; r < k; r += STEP) {
            const __mmask64 mask = k - r >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << (k - r)) - 1;
            sum = add_offset(sum, _mm512_maskz_loadu_epi8(mask, x + i * ldx + r));
        }
        offset[i] = -_mm512_reduce_add_epi32(sum);
    }
}

static void packed_all(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                       const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                       void *scratch)
{
    __m512i *packed = scratch;
    int32_t *offset = (int32_t *)((char *)scratch + (k + 63) / 64 * 64 * QM_I8_TILE);
    row_offsets(offset, x, ldx, m, k);
    for (size_t j = 0; j < n; j += VECTORS * WIDTH) {
        const size_t width = n - j < VECTORS * WIDTH ? n - j : VECTORS * WIDTH;
        pack(packed, w + j * k, width, k);
        if (width > WIDTH)
            tile_rows(acc + j, ldacc, packed, x, ldx, offset, m, width, k, VECTORS);
        else
            tile_rows(acc + j, ldacc, packed, x, ldx, offset, m, width, k, 1);
    }
}

void qm_matmul_i8_avx512vnni(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                             void *scratch)
{
    size_t i = 0;
    while (m - i >= PACKING_PAYS) {
        const size_t rows = m - i < MAX_PACKED ? m - i : MAX_PACKED;
        packed_all(acc + i * ldacc, ldacc, w, x + i * ldx, ldx, rows, n, k, scratch);
        i += rows;
    }
    acc += i * ldacc;
    x += i * ldx;
    m -= i;
    for (size_t j = 0; j < n && m > 0; j += QM_I8_TILE) { /* weights that a cache holds */
        const size_t width = n - j < QM_I8_TILE ? n - j : QM_I8_TILE;
        const int8_t *wj = w + j * k;
        for (i = 0; m - i >= DIRECT_X; i += DIRECT_X)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, DIRECT_X);
        if (m - i == 2)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 2);
        else if (m - i == 1)
            direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 1);
    }
}
