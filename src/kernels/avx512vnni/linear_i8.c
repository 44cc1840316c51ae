/* Products of many rows: weights rearranged so that a register holds the same terms of sixteen
 * outputs, sums kept in registers from the first term to the finished code.
 *
 * vpdpbusd multiplies unsigned by signed bytes, so the weights are taken as w + 128 (a flipped top
 * bit), and the sums start at -128 times the sum of the row of x.  They wrap modulo 2^32 on the way
 * and are exact in the end. */
#include "kernels/linear_i8.h"
#include "kernels/avx512vnni/codes.h"
#include "kernels/tile.h"

#include <string.h>

enum {
    STEP = 64,         /* bytes in a register */
    GROUP = 4,         /* bytes that one lane multiplies at a time */
    WIDTH = 16,        /* lanes: outputs of a register */
    ROWS = 12,         /* rows of x of a tile */
    VECTORS = 2,       /* registers of outputs of it */
    PACKING_PAYS = 16, /* rows of x from which on it is faster to rearrange the weights */
    BLOCK = 512        /* rows of x that the second cache holds */
};
_Static_assert(VECTORS *WIDTH <= QM_I8_TILE, "packed weights fit the scratch");

/* What becomes of a sum. */
typedef enum result { CODES, HALVES, FLOATS } result;

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
                in[r] = _mm512_xor_si512(in[r], _mm512_set1_epi8(INT8_MIN));
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

/* Where the sums of row i begin: -128 times the sum of the row. */
static void row_offsets(int32_t *offset, const int8_t *x, size_t ldx, size_t m, size_t k)
{
    const __m512i flipped = _mm512_set1_epi8(INT8_MIN);
    for (size_t i = 0; i < m; i++) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t r = 0; r < k; r += STEP) {
            const __mmask64 mask = k - r >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << (k - r)) - 1;
            sum = _mm512_dpbusd_epi32(sum, flipped, _mm512_maskz_loadu_epi8(mask, x + i * ldx + r));
        }
        offset[i] = -_mm512_reduce_add_epi32(sum);
    }
}

/* sum += w * x by groups.  With the intrinsic gcc 12 copies every sum before and after. */
QM_TILE_INLINE void multiply(__m512i *sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(w), "v"(x));
}

/* rows rows of x by up to 16 * vectors outputs, the first of them output j. */
QM_TILE_INLINE void tile(const qm_linear_i8_args *p, result kind, void *y, size_t *lost, size_t i,
                         size_t j, const size_t rows, const size_t vectors)
{
    const __m512i *packed = p->scratch;
    const int8_t *x = p->x + i * p->ldx;
    __m512i sum[ROWS][VECTORS];
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < vectors; v++)
        sum[r][v] = _mm512_set1_epi32(p->acc[i + r]);
    size_t at = 0;
    for (; p->k - at >= GROUP; at += GROUP, packed += vectors) {
        __m512i ws[VECTORS];
        QM_UNROLL for (size_t v = 0; v < vectors; v++) ws[v] = packed[v];
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            int32_t four;
            memcpy(&four, x + r * p->ldx + at, GROUP);
            const __m512i xs = _mm512_set1_epi32(four);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) multiply(&sum[r][v], ws[v], xs);
        }
    }
    if (at < p->k) QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            int32_t four = 0;
            memcpy(&four, x + r * p->ldx + at, p->k - at);
            const __m512i xs = _mm512_set1_epi32(four);
            QM_UNROLL for (size_t v = 0; v < vectors; v++) multiply(&sum[r][v], packed[v], xs);
        }
    const bool finite = qm_rescale_is_finite(p->first, p->second);
    const __m512 first = _mm512_set1_ps(p->first), second = _mm512_set1_ps(p->second);
    QM_UNROLL for (size_t v = 0; v < vectors; v++)
    {
        const __mmask16 mask = qm_mask_avx512(p->n - j - v * WIDTH);
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            const size_t to = (i + r) * p->ldy + j + v * WIDTH;
            const __m512 value =
                _mm512_mul_ps(second, _mm512_mul_ps(first, _mm512_cvtepi32_ps(sum[r][v])));
            if (kind == CODES)
                lost[i + r] += qm_put_even_avx512((int8_t *)y + to, value, mask, finite);
            else if (kind == HALVES)
                _mm512_mask_storeu_ps((float *)y + to, mask, qm_round_f16_avx512(value));
            else
                _mm512_mask_storeu_ps((float *)y + to, mask, value);
        }
    }
}

QM_TILE_INLINE void tile_rows(const qm_linear_i8_args *p, result kind, void *y, size_t *lost,
                              size_t j, const size_t vectors)
{
    size_t i = 0;
    for (; p->m - i >= ROWS; i += ROWS)
        tile(p, kind, y, lost, i, j, ROWS, vectors);
    for (; p->m - i >= 4; i += 4)
        tile(p, kind, y, lost, i, j, 4, vectors);
    for (; i < p->m; i++)
        tile(p, kind, y, lost, i, j, 1, vectors);
}

/* All outputs of a block of rows. */
QM_TILE_INLINE void block(const qm_linear_i8_args *p, result kind, void *y, size_t *lost)
{
    row_offsets(p->acc, p->x, p->ldx, p->m, p->k);
    for (size_t j = 0; j < p->n; j += VECTORS * WIDTH) {
        const size_t width = p->n - j < VECTORS * WIDTH ? p->n - j : VECTORS * WIDTH;
        pack(p->scratch, p->w + j * p->k, width, p->k);
        if (width > WIDTH)
            tile_rows(p, kind, y, lost, j, VECTORS);
        else
            tile_rows(p, kind, y, lost, j, 1);
    }
}

QM_TILE_INLINE void linear(const qm_linear_i8_args *p, result kind, void *y, size_t *lost)
{
    const size_t size = kind == CODES ? sizeof(int8_t) : sizeof(float);
    for (size_t i = 0; i < p->m;) {
        qm_linear_i8_args part = *p;
        part.x += i * p->ldx;
        part.m = p->m - i < 2 * BLOCK ? p->m - i : BLOCK; /* the last is not left with a few rows */
        block(&part, kind, (char *)y + i * p->ldy * size, lost ? lost + i : NULL);
        i += part.m;
    }
}

/* Few rows are multiplied by the weights as they lie. */
QM_LINEAR_I8(static, few, qm_matmul_i8_avx512vnni, qm_requantize_i8_avx512vnni, qm_rescale_f16_avx2)

void qm_linear_i8_codes_avx512vnni(int8_t *restrict y, size_t *restrict lost,
                                   const qm_linear_i8_args *p)
{
    if (p->m < PACKING_PAYS)
        qm_linear_i8_codes_few(y, lost, p);
    else
        linear(p, CODES, y, lost);
}

void qm_linear_i8_f16_avx512vnni(float *restrict y, const qm_linear_i8_args *p)
{
    if (p->m < PACKING_PAYS)
        qm_linear_i8_f16_few(y, p);
    else
        linear(p, HALVES, y, NULL);
}

void qm_linear_i8_f32_avx512vnni(float *restrict y, const qm_linear_i8_args *p)
{
    if (p->m < PACKING_PAYS)
        qm_linear_i8_f32_few(y, p);
    else
        linear(p, FLOATS, y, NULL);
}
