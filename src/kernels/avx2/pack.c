/* Codes to their places for the products (base/packed.h). */
#include "kernels/kernels.h"
#include "kernels/tile.h"

#include <immintrin.h>
#include <stdbool.h>

enum { STEP = 16 /* codes in a register */ };

/* A group, from four rows with a term each of the outputs. */
static inline void pack_outputs(int8_t *restrict packed, const int8_t *restrict in, size_t stride)
{
    __m128i row[QM_PACK_TERMS], *to = (__m128i *)packed;
    QM_UNROLL for (size_t t = 0; t < QM_PACK_TERMS; t++) row[t] =
        _mm_loadu_si128((const __m128i *)(in + t * stride));
    const __m128i lo01 = _mm_unpacklo_epi8(row[0], row[1]),
                  hi01 = _mm_unpackhi_epi8(row[0], row[1]);
    const __m128i lo23 = _mm_unpacklo_epi8(row[2], row[3]),
                  hi23 = _mm_unpackhi_epi8(row[2], row[3]);
    _mm_storeu_si128(to, _mm_unpacklo_epi16(lo01, lo23));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(lo01, lo23));
    _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(hi01, hi23));
    _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(hi01, hi23));
}

/* Four outputs of four groups, from four rows with the terms of an output each. */
static inline void pack_terms(int8_t *restrict packed, const int8_t *restrict in, size_t stride)
{
    __m128i row[4];
    QM_UNROLL for (size_t o = 0; o < 4; o++) row[o] =
        _mm_loadu_si128((const __m128i *)(in + o * stride));
    const __m128i lo01 = _mm_unpacklo_epi32(row[0], row[1]),
                  hi01 = _mm_unpackhi_epi32(row[0], row[1]);
    const __m128i lo23 = _mm_unpacklo_epi32(row[2], row[3]),
                  hi23 = _mm_unpackhi_epi32(row[2], row[3]);
    const __m128i group[4] = {_mm_unpacklo_epi64(lo01, lo23), _mm_unpackhi_epi64(lo01, lo23),
                              _mm_unpacklo_epi64(hi01, hi23), _mm_unpackhi_epi64(hi01, hi23)};
    QM_UNROLL for (size_t g = 0; g < 4; g++)
        _mm_storeu_si128((__m128i *)(packed + g * QM_PACK_GROUP), group[g]);
}

/* Outputs [0, n) and terms [0, k), whole groups of them. */
static void pack_whole(int8_t *restrict packed, size_t panel, const int8_t *restrict in, size_t n,
                       size_t k, size_t term_stride)
{
    enum { BLOCK = 1024 }; /* outputs whose rows of terms are read whole: few pages at a time */
    for (size_t first = 0; first < n; first += BLOCK)
        for (size_t i = 0; i < k; i += QM_PACK_TERMS)
            for (size_t j = first; j < n && j < first + BLOCK; j += QM_PACK_OUTPUTS)
                pack_outputs(packed + j / QM_PACK_OUTPUTS * panel + i * QM_PACK_OUTPUTS,
                             in + i * term_stride + j, term_stride);
}

static void pack_whole_turned(int8_t *restrict packed, size_t panel, const int8_t *restrict in,
                              size_t n, size_t k, size_t output_stride)
{
    for (size_t j = 0; j < n; j += QM_PACK_OUTPUTS, packed += panel)
        for (size_t i = 0; i < k; i += STEP)
            QM_UNROLL for (size_t o = 0; o < QM_PACK_OUTPUTS; o += 4)
                pack_terms(packed + i * QM_PACK_OUTPUTS + o * QM_PACK_TERMS,
                           in + (j + o) * output_stride + i, output_stride);
}

void qm_pack_i8_avx2(int8_t *restrict packed, size_t panel, const int8_t *restrict in, size_t n,
                     size_t k, size_t output_stride, size_t term_stride)
{
    const size_t step = output_stride == 1 ? QM_PACK_TERMS : STEP;
    const bool fast = output_stride == 1 || term_stride == 1;
    const size_t n_whole = fast ? n - n % QM_PACK_OUTPUTS : 0, k_whole = fast ? k - k % step : 0;
    if (output_stride == 1)
        pack_whole(packed, panel, in, n_whole, k_whole, term_stride);
    else
        pack_whole_turned(packed, panel, in, n_whole, k_whole, output_stride);
    qm_pack_i8_scalar(packed + k_whole * QM_PACK_OUTPUTS, panel, in + k_whole * term_stride,
                      n_whole, k - k_whole, output_stride, term_stride);
    qm_pack_i8_scalar(packed + n_whole / QM_PACK_OUTPUTS * panel, panel,
                      in + n_whole * output_stride, n - n_whole, k, output_stride, term_stride);
}
