/* The AVX-512 VNNI version in 256 bits: vpdpbusd multiplies unsigned by signed bytes, so the
 * weights are taken as w + 128 (a flipped top bit), and sums start at -128 times the sum of x.
 * They wrap modulo 2^32 on the way and are exact in the end. */
#include "kernels/panels.h"

#include <immintrin.h>
#include <string.h>

enum {
    STEP = 32, /* bytes in a register */
    PARTS = 2, /* registers of a group: eight outputs */
    PANELS = 4,
    ROWS = 6, /* rows of x of a tile */
    SUMS = 12
};

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

static inline __m256i flip(__m256i w) { return _mm256_xor_si256(w, _mm256_set1_epi8(INT8_MIN)); }

/* Where the sums of a row begin: -128 times the sum of its codes. */
static inline int32_t start_of(const int8_t *x, size_t k)
{
    const __m256i flipped = _mm256_set1_epi8(INT8_MIN);
    __m256i sum = _mm256_setzero_si256();
    size_t i = 0;
    for (; k - i >= STEP; i += STEP)
        sum = dpbusd(sum, flipped, load(x + i));
    if (i < k) {
        int8_t padded[STEP] = {0};
        memcpy(padded, x + i, k - i);
        sum = dpbusd(sum, flipped, load(padded));
    }
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    four = _mm_hadd_epi32(four, four);
    return -_mm_cvtsi128_si32(_mm_hadd_epi32(four, four));
}

/* One group of every panel; terms: those of x that are there. */
QM_TILE_INLINE void group(__m256i *sum, const qm_panels *p, size_t at, size_t terms,
                          const size_t panels, const size_t rows)
{
    __m256i ws[PANELS * PARTS];
    QM_UNROLL for (size_t v = 0; v < panels; v++) QM_UNROLL for (size_t q = 0; q < PARTS; q++)
        ws[v * PARTS + q] = flip(load(p->w + v * p->w_apart + at * QM_PACK_OUTPUTS + q * STEP));
    QM_UNROLL for (size_t r = 0; r < rows; r++)
    {
        int32_t four = 0;
        memcpy(&four, p->x + r * p->ldx + at, terms);
        const __m256i xs = _mm256_set1_epi32(four);
        QM_UNROLL for (size_t i = 0; i < panels * PARTS; i++)
        {
            __m256i *to = &sum[r * panels * PARTS + i];
            *to = dpbusd(*to, ws[i], xs);
        }
    }
}

QM_TILE_INLINE void tile(const qm_panels *p, const size_t panels, const size_t rows)
{
    __m256i sum[SUMS];
    QM_UNROLL for (size_t r = 0; r < rows; r++)
    {
        QM_UNROLL for (size_t i = 0; i < panels * PARTS; i++) sum[r * panels * PARTS + i] =
            _mm256_set1_epi32(p->start[r]);
    }
    size_t at = 0;
    for (; p->k - at >= QM_PACK_TERMS; at += QM_PACK_TERMS)
        group(sum, p, at, QM_PACK_TERMS, panels, rows);
    if (at < p->k) group(sum, p, at, p->k - at, panels, rows);
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < panels; v++)
    {
        int32_t out[QM_PACK_OUTPUTS], *acc = p->acc + r * p->ldacc + v * p->acc_apart;
        const size_t wanted = v + 1 < panels ? QM_PACK_OUTPUTS : p->n;
        int32_t *to = wanted < QM_PACK_OUTPUTS ? out : acc;
        QM_UNROLL for (size_t q = 0; q < PARTS; q++)
            _mm256_storeu_si256((__m256i *)(to + 8 * q), sum[(r * panels + v) * PARTS + q]);
        if (to == out) memcpy(acc, out, wanted * sizeof *acc);
    }
}

QM_MATVEC_I8(qm_matvec_i8_avxvnni, tile, start_of, PANELS)
QM_MATMUL_I8(qm_matmul_i8_avxvnni, tile, start_of, ROWS, 2)
