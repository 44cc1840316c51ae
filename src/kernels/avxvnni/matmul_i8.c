/* The AVX-512 VNNI version in 256 bits: vpdpbusd multiplies unsigned by signed bytes, so the
 * weights are taken as w + 128 (a flipped top bit), and 128 times the sum of x is taken off again.
 * Sums wrap modulo 2^32 on the way and are exact in the end. */
#include "kernels/kernels.h"
#include "kernels/streams.h"

#include <immintrin.h>
#include <string.h>

enum {
    STEP = 32,         /* bytes in a register */
    GROUP = 4,         /* bytes that one lane multiplies at a time */
    WIDTH = 8,         /* lanes: outputs of a packed register */
    DIRECT_W = 4,      /* rows of w of a tile that is not packed, */
    DIRECT_X = 2,      /* and of x: with three the sums do not fit the registers */
    ROWS = 6,          /* rows of x of a packed tile */
    VECTORS = 2,       /* registers of outputs of it */
    PACKING_PAYS = 16, /* rows of x from which on it is faster to pack */
    MAX_PACKED = 1024  /* rows of x whose sums fit behind the packed weights */
};
_Static_assert(VECTORS *WIDTH <= QM_I8_TILE, "packed weights fit the scratch");
_Static_assert(MAX_PACKED * sizeof(int32_t) <= QM_I8_TILE * 64, "so do the sums behind them");

/* sum + unsigned a * signed b, by groups of four.  Compiled for AVX-512 VNNI, as checkkern's twin
 * is, the same instruction has another name and encoding. */
static inline __m256i dpbusd(__m256i sum, __m256i a, __m256i b)
{
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(sum, a, b);
#else
    return _mm256_dpbusd_epi32(sum, a, b);
#endif
}

static inline __m256i load(const int8_t *x) { return _mm256_loadu_si256((const __m256i *)x); }

/* The first n of 32 bytes, zeros behind them. */
static inline __m256i load_first(const int8_t *x, size_t n)
{
    int8_t padded[STEP] = {0};
    memcpy(padded, x, n);
    return load(padded);
}

static inline __m256i flip(__m256i w) { return _mm256_xor_si256(w, _mm256_set1_epi8(INT8_MIN)); }

/* 128 x, summed by groups onto sum. */
static inline __m256i add_offset(__m256i sum, __m256i x)
{
    return dpbusd(sum, _mm256_set1_epi8(INT8_MIN), x);
}

/* The sums of four registers, in order. */
static inline __m128i sum_four(const __m256i v[DIRECT_W])
{
    __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
}

/* rows_w rows of w, apart rows from each other, by rows_x rows of x; zeros of x pad the end. */
QM_TILE_INLINE void direct(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                           size_t apart, const int8_t *restrict x, size_t ldx, size_t k,
                           const size_t rows_w, const size_t rows_x)
{
    const size_t step = apart * k;
    __m256i sum[DIRECT_X][DIRECT_W], offset[DIRECT_X], xs[DIRECT_X];
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        offset[r] = _mm256_setzero_si256();
        QM_UNROLL for (size_t j = 0; j < DIRECT_W; j++) sum[r][j] = _mm256_setzero_si256();
    }
    size_t i = 0;
    for (; k - i >= STEP; i += STEP) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++)
        {
            xs[r] = load(x + r * ldx + i);
            offset[r] = add_offset(offset[r], xs[r]);
        }
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            __m256i ws = flip(load(w + j * step + i));
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] = dpbusd(sum[r][j], ws, xs[r]);
        }
    }
    if (i < k) {
        QM_UNROLL for (size_t r = 0; r < rows_x; r++)
        {
            xs[r] = load_first(x + r * ldx + i, k - i);
            offset[r] = add_offset(offset[r], xs[r]);
        }
        QM_UNROLL for (size_t j = 0; j < rows_w; j++)
        {
            __m256i ws = flip(load_first(w + j * step + i, k - i));
            QM_UNROLL for (size_t r = 0; r < rows_x; r++) sum[r][j] = dpbusd(sum[r][j], ws, xs[r]);
        }
    }
    QM_UNROLL for (size_t r = 0; r < rows_x; r++)
    {
        int32_t out[DIRECT_W];
        QM_UNROLL for (size_t j = 0; j < DIRECT_W; j++) sum[r][j] =
            _mm256_sub_epi32(sum[r][j], offset[r]);
        _mm_storeu_si128((__m128i *)out, sum_four(sum[r]));
        QM_UNROLL for (size_t j = 0; j < rows_w; j++) acc[r * ldacc + j * apart] = out[j];
    }
}

_Static_assert(DIRECT_W == 4, "rows of a tile are the streams");
QM_FOUR_STREAMS(direct_all, direct)

void qm_matvec_i8_avxvnni(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                          size_t n, size_t k)
{
    direct_all(acc, 0, w, x, 0, n, k, 1);
}

/* n (0..16) bytes in 16, zeros behind them. */
static inline __m128i load_half(const int8_t *x, size_t n)
{
    if (n >= STEP / 2) return _mm_loadu_si128((const __m128i *)x);
    int8_t padded[STEP / 2] = {0};
    memcpy(padded, x, n);
    return _mm_loadu_si128((const __m128i *)padded);
}

/* Rearranges n (1..16) rows of w: groups of four terms, and for each the outputs side by side, 8 to
 * a register.  Outputs up to the next 8 repeat the last row. */
static void pack(__m256i *restrict packed, const int8_t *restrict w, size_t n, size_t k)
{
    const size_t n_vectors = (n + WIDTH - 1) / WIDTH;
    for (size_t v = 0; v < n_vectors; v++) {
        const int8_t *row[WIDTH];
        for (size_t r = 0; r < WIDTH; r++)
            row[r] = w + (v * WIDTH + r < n ? v * WIDTH + r : n - 1) * k;
        for (size_t i = 0; i < k; i += 4 * GROUP) {
            __m256i in[4]; /* register r: rows r and r + 4, four groups of each */
            QM_UNROLL for (size_t r = 0; r < 4; r++) in[r] =
                flip(_mm256_inserti128_si256(_mm256_castsi128_si256(load_half(row[r] + i, k - i)),
                                             load_half(row[4 + r] + i, k - i), 1));
            __m256i lo01 = _mm256_unpacklo_epi32(in[0], in[1]);
            __m256i hi01 = _mm256_unpackhi_epi32(in[0], in[1]);
            __m256i lo23 = _mm256_unpacklo_epi32(in[2], in[3]);
            __m256i hi23 = _mm256_unpackhi_epi32(in[2], in[3]);
            __m256i *to = packed + i / GROUP * n_vectors + v;
            _mm256_storeu_si256(to, _mm256_unpacklo_epi64(lo01, lo23));
            _mm256_storeu_si256(to + n_vectors, _mm256_unpackhi_epi64(lo01, lo23));
            _mm256_storeu_si256(to + 2 * n_vectors, _mm256_unpacklo_epi64(hi01, hi23));
            _mm256_storeu_si256(to + 3 * n_vectors, _mm256_unpackhi_epi64(hi01, hi23));
        }
    }
}

/* Four terms of x, at the end of a row fewer. */
static inline __m256i group(const int8_t *x, size_t n)
{
    int32_t four = 0;
    memcpy(&four, x, n);
    return _mm256_set1_epi32(four);
}

/* rows rows of x by the n outputs of a packed tile of as many registers. */
QM_TILE_INLINE void tile(int32_t *restrict acc, size_t ldacc, const __m256i *restrict packed,
                         const int8_t *restrict x, size_t ldx, const int32_t *restrict offset,
                         size_t n, size_t k, const size_t rows, const size_t vectors)
{
    __m256i sum[ROWS][VECTORS];
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < vectors; v++)
        sum[r][v] = _mm256_set1_epi32(offset[r]);
    size_t i = 0;
    for (; k - i >= GROUP; i += GROUP, packed += vectors)
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            __m256i xs = group(x + r * ldx + i, GROUP);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] =
                dpbusd(sum[r][v], packed[v], xs);
        }
    if (i < k) QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            __m256i xs = group(x + r * ldx + i, k - i);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] =
                dpbusd(sum[r][v], packed[v], xs);
        }
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < vectors; v++)
    {
        const size_t left = n - v * WIDTH;
        int32_t *to = acc + r * ldacc + v * WIDTH;
        if (left >= WIDTH)
            _mm256_storeu_si256((__m256i *)to, sum[r][v]);
        else {
            const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_maskstore_epi32(to, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)left), lane),
                                   sum[r][v]);
        }
    }
}

QM_TILE_INLINE void tile_rows(int32_t *restrict acc, size_t ldacc, const __m256i *restrict packed,
                              const int8_t *restrict x, size_t ldx, const int32_t *restrict offset,
                              size_t m, size_t n, size_t k, const size_t vectors)
{
    size_t i = 0;
    for (; m - i >= ROWS; i += ROWS)
        tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, ROWS, vectors);
    for (; m - i >= 2; i += 2)
        tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, 2, vectors);
    if (i < m) tile(acc + i * ldacc, ldacc, packed, x + i * ldx, ldx, offset + i, n, k, 1, vectors);
}

/* offset[i] = -128 times the sum of row i. */
static void row_offsets(int32_t *offset, const int8_t *x, size_t ldx, size_t m, size_t k)
{
    for (size_t i = 0; i < m; i++) {
        __m256i sum = _mm256_setzero_si256();
        size_t r = 0;
        for (; k - r >= STEP; r += STEP)
            sum = add_offset(sum, load(x + i * ldx + r));
        if (r < k) sum = add_offset(sum, load_first(x + i * ldx + r, k - r));
        int32_t four[4];
        const __m256i alone[DIRECT_W] = {sum, _mm256_setzero_si256(), _mm256_setzero_si256(),
                                         _mm256_setzero_si256()};
        _mm_storeu_si128((__m128i *)four, sum_four(alone));
        offset[i] = -four[0];
    }
}

static void packed_all(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                       const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                       void *scratch)
{
    __m256i *packed = scratch;
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

void qm_matmul_i8_avxvnni(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
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
        if (i < m) direct_all(acc + i * ldacc + j, ldacc, wj, x + i * ldx, ldx, width, k, 1);
    }
}
