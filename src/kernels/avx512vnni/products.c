/* INT8 products: a register of AVX-512 holds four terms of sixteen outputs, as packed weights have
 * them, and sums stay in registers from the first term to the finished code.
 *
 * vpdpbusd multiplies unsigned by signed bytes, so the weights are taken as w + 128 (a flipped top
 * bit), and the sums start at -128 times the sum of the row of x.  They wrap modulo 2^32 on the way
 * and are exact in the end. */
#include "kernels/avx512vnni/codes.h"
#include "kernels/panels.h"

#include <string.h>

enum {
    STEP = 64, /* bytes in a register */
    GROUP = QM_PACK_TERMS,
    WIDTH = QM_PACK_OUTPUTS,
    STREAMS = 4, /* panels of a matvec's tile */
    ROWS = 12,   /* rows of x of a tile, */
    PANELS = 2,  /* and panels */
    FEW = 4,     /* rows of x when there are fewer, or one */
    SUMS = ROWS * PANELS,
    BLOCK = 512 /* rows of x that the second cache holds */
};
_Static_assert(STREAMS <= SUMS, "a tile holds the sums of a matvec");

/* What becomes of a sum. */
typedef enum result { CODES, HALVES, FLOATS } result;

/* Where the sums of a row begin: -128 times the sum of its codes. */
static int32_t start_of(const int8_t *x, size_t k)
{
    const __m512i flipped = _mm512_set1_epi8(INT8_MIN);
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < k; i += STEP) {
        const __mmask64 mask = k - i >= STEP ? ~(__mmask64)0 : ((__mmask64)1 << (k - i)) - 1;
        sum = _mm512_dpbusd_epi32(sum, flipped, _mm512_maskz_loadu_epi8(mask, x + i));
    }
    return -_mm512_reduce_add_epi32(sum);
}

/* sum += w * x by groups.  With the intrinsic gcc 12 copies every sum before and after. */
QM_TILE_INLINE void multiply(__m512i *sum, __m512i w, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(w), "v"(x));
}

/* One group of every panel; terms: those of x that are there. */
QM_TILE_INLINE void group(__m512i *sum, const qm_panels *p, size_t at, size_t terms,
                          const size_t panels, const size_t rows)
{
    __m512i ws[STREAMS];
    QM_UNROLL for (size_t v = 0; v < panels; v++) ws[v] = _mm512_xor_si512(
        _mm512_loadu_si512(p->w + v * p->w_apart + at * WIDTH), _mm512_set1_epi8(INT8_MIN));
    QM_UNROLL for (size_t r = 0; r < rows; r++)
    {
        int32_t four = 0;
        memcpy(&four, p->x + r * p->ldx + at, terms);
        const __m512i xs = _mm512_set1_epi32(four);
        QM_UNROLL for (size_t v = 0; v < panels; v++) multiply(&sum[r * panels + v], ws[v], xs);
    }
}

/* sum[r * panels + v]: of row r and the outputs of panel v */
QM_TILE_INLINE void sums(__m512i *sum, const qm_panels *p, const size_t panels, const size_t rows)
{
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < panels; v++)
        sum[r * panels + v] = _mm512_set1_epi32(p->start[r]);
    size_t at = 0;
    for (; p->k - at >= GROUP; at += GROUP)
        group(sum, p, at, GROUP, panels, rows);
    if (at < p->k) group(sum, p, at, p->k - at, panels, rows);
}

QM_TILE_INLINE void tile_sums(const qm_panels *p, const size_t panels, const size_t rows)
{
    __m512i sum[SUMS];
    sums(sum, p, panels, rows);
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < panels; v++)
        _mm512_mask_storeu_epi32(p->acc + r * p->ldacc + v * p->acc_apart,
                                 qm_mask_avx512(v + 1 < panels ? WIDTH : p->n),
                                 sum[r * panels + v]);
}

QM_MATVEC_I8(qm_matvec_i8_avx512vnni, tile_sums, start_of, STREAMS)
QM_MATMUL_I8(qm_matmul_i8_avx512vnni, tile_sums, start_of, ROWS, FEW)

/* ---- with what becomes of the sums ------------------------------------------------------------
 */

/* y and lost begin with the first row and output of the tile. */
QM_TILE_INLINE void tile(const qm_linear_i8_args *a, const qm_panels *p, result kind, void *y,
                         size_t *lost, const size_t panels, const size_t rows)
{
    __m512i sum[SUMS];
    sums(sum, p, panels, rows);
    const bool finite = qm_rescale_is_finite(a->first, a->second);
    const __m512 first = _mm512_set1_ps(a->first), second = _mm512_set1_ps(a->second);
    QM_UNROLL for (size_t v = 0; v < panels; v++)
    {
        const __mmask16 mask = qm_mask_avx512(v + 1 < panels ? WIDTH : p->n);
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            const size_t to = r * a->ldy + v * WIDTH;
            const __m512 value = _mm512_mul_ps(
                second, _mm512_mul_ps(first, _mm512_cvtepi32_ps(sum[r * panels + v])));
            if (kind == CODES)
                lost[r] += qm_put_even_avx512((int8_t *)y + to, value, mask, finite);
            else if (kind == HALVES)
                _mm512_mask_storeu_ps((float *)y + to, mask, qm_round_f16_avx512(value));
            else
                _mm512_mask_storeu_ps((float *)y + to, mask, value);
        }
    }
}

QM_TILE_INLINE void tile_rows(const qm_linear_i8_args *a, qm_panels p, size_t m, result kind,
                              void *y, size_t *lost, const size_t panels)
{
    const size_t size = kind == CODES ? sizeof(int8_t) : sizeof(float);
    for (size_t i = 0, rows; i < m; i += rows) {
        const size_t left = m - i;
        void *to = (char *)y + i * a->ldy * size;
        size_t *lost_here = lost ? lost + i : NULL;
        rows = left >= ROWS ? ROWS : left >= FEW ? FEW : 1;
        p.x = a->x + i * a->ldx;
        p.start = a->acc + i;
        if (rows == ROWS)
            tile(a, &p, kind, to, lost_here, panels, ROWS);
        else if (rows == FEW)
            tile(a, &p, kind, to, lost_here, panels, FEW);
        else
            tile(a, &p, kind, to, lost_here, panels, 1);
    }
}

/* All outputs of m rows. */
QM_TILE_INLINE void block(const qm_linear_i8_args *a, size_t m, result kind, void *y, size_t *lost)
{
    const size_t size = kind == CODES ? sizeof(int8_t) : sizeof(float);
    for (size_t i = 0; i < m; i++)
        a->acc[i] = start_of(a->x + i * a->ldx, a->k);
    for (size_t j = 0, n; j < a->n; j += n) {
        n = a->n - j < PANELS * WIDTH ? a->n - j : PANELS * WIDTH;
        qm_panels p = {.w = a->w + qm_packed_at(j, 0, a->k),
                       .w_apart = qm_panel_bytes(a->k),
                       .ldx = a->ldx,
                       .n = n,
                       .k = a->k};
        if (n <= WIDTH) {
            tile_rows(a, p, m, kind, (char *)y + j * size, lost, 1);
        } else {
            p.n -= WIDTH;
            tile_rows(a, p, m, kind, (char *)y + j * size, lost, PANELS);
        }
    }
}

QM_TILE_INLINE void linear(const qm_linear_i8_args *p, result kind, void *y, size_t *lost)
{
    const size_t size = kind == CODES ? sizeof(int8_t) : sizeof(float);
    for (size_t i = 0, m; i < p->m; i += m) {
        qm_linear_i8_args part = *p;
        part.x += i * p->ldx;
        m = p->m - i < 2 * BLOCK ? p->m - i : BLOCK; /* the last is not left with a few rows */
        block(&part, m, kind, (char *)y + i * p->ldy * size, lost ? lost + i : NULL);
    }
}

void qm_linear_i8_codes_avx512vnni(int8_t *restrict y, size_t *restrict lost,
                                   const qm_linear_i8_args *p)
{
    linear(p, CODES, y, lost);
}

void qm_linear_i8_f16_avx512vnni(float *restrict y, const qm_linear_i8_args *p)
{
    linear(p, HALVES, y, NULL);
}

void qm_linear_i8_f32_avx512vnni(float *restrict y, const qm_linear_i8_args *p)
{
    linear(p, FLOATS, y, NULL);
}
