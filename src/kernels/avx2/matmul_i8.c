/* Codes are widened to 16 bits and multiplied in pairs (vpmaddwd), which is exact for all of them:
 * vpmaddubsw with flipped signs is not where a -128 meets a -128. */
#include "kernels/panels.h"

#include <immintrin.h>
#include <string.h>

enum {
    PARTS = 4, /* registers of a group: four outputs, two sums of each */
    PANELS = 2,
    ROWS = 2, /* rows of x of a tile: with three the sums do not fit the registers */
    SUMS = 8
};

/* One group of every panel; terms: those of x that are there. */
QM_TILE_INLINE void group(__m256i *sum, const qm_panels *p, size_t at, size_t terms,
                          const size_t panels, const size_t rows)
{
    __m256i xs[ROWS];
    QM_UNROLL for (size_t r = 0; r < rows; r++)
    {
        int32_t four = 0;
        memcpy(&four, p->x + r * p->ldx + at, terms);
        xs[r] = _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
    }
    QM_UNROLL for (size_t v = 0; v < panels; v++) QM_UNROLL for (size_t q = 0; q < PARTS; q++)
    {
        const int8_t *w = p->w + v * p->w_apart + at * QM_PACK_OUTPUTS + q * 16;
        const __m256i ws = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w));
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            __m256i *to = &sum[(r * panels + v) * PARTS + q];
            *to = _mm256_add_epi32(*to, _mm256_madd_epi16(ws, xs[r]));
        }
    }
}

QM_TILE_INLINE void tile(const qm_panels *p, const size_t panels, const size_t rows)
{
    __m256i sum[SUMS];
    QM_UNROLL for (size_t i = 0; i < panels * rows * PARTS; i++) sum[i] = _mm256_setzero_si256();
    size_t at = 0;
    for (; p->k - at >= QM_PACK_TERMS; at += QM_PACK_TERMS)
        group(sum, p, at, QM_PACK_TERMS, panels, rows);
    if (at < p->k) group(sum, p, at, p->k - at, panels, rows);
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < panels; v++)
    {
        int32_t out[QM_PACK_OUTPUTS], *acc = p->acc + r * p->ldacc + v * p->acc_apart;
        const size_t wanted = v + 1 < panels ? QM_PACK_OUTPUTS : p->n;
        int32_t *to = wanted < QM_PACK_OUTPUTS ? out : acc;
        QM_UNROLL for (size_t q = 0; q < PARTS; q += 2)
        {
            const __m256i *two = &sum[(r * panels + v) * PARTS + q];
            const __m256i mixed = _mm256_hadd_epi32(two[0], two[1]); /* pairs of each by turns */
            _mm256_storeu_si256((__m256i *)(to + 4 * q), _mm256_permute4x64_epi64(mixed, 0xd8));
        }
        if (to == out) memcpy(acc, out, wanted * sizeof *acc);
    }
}

QM_MATVEC_I8(qm_matvec_i8_avx2, tile, qm_start_at_zero, PANELS)
QM_MATMUL_I8(qm_matmul_i8_avx2, tile, qm_start_at_zero, ROWS, 1)
