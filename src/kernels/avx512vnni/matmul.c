/* FP32 products of many rows: a register is all sixteen lanes of an output's sum. */
#include "kernels/avx512vnni/vmath.h"
#include "kernels/tile.h"

enum {
    TILE_X = 6,
    TILE_W = 4,
    BLOCK_FLOATS = 1 << 16 /* of x, that stay in the second cache while all of w passes over them */
};

/* The sums of four registers, each halved in the order of the contract. */
static inline __m128 halve_four(const __m512 v[TILE_W])
{
    __m256 eight[TILE_W];
    QM_UNROLL for (size_t j = 0; j < TILE_W; j++) eight[j] =
        _mm256_add_ps(_mm512_castps512_ps256(v[j]), _mm512_extractf32x8_ps(v[j], 1));
    /* 8 -> 4 lanes: two outputs in one register */
    __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(eight[0], eight[1], 0x20),
                              _mm256_permute2f128_ps(eight[0], eight[1], 0x31));
    __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(eight[2], eight[3], 0x20),
                              _mm256_permute2f128_ps(eight[2], eight[3], 0x31));
    /* 4 -> 2 lanes: a c | b d */
    __m256 abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
    /* 2 -> 1 */
    __m256 sums = _mm256_add_ps(_mm256_shuffle_ps(abcd, abcd, _MM_SHUFFLE(2, 0, 2, 0)),
                                _mm256_shuffle_ps(abcd, abcd, _MM_SHUFFLE(3, 1, 3, 1)));
    return _mm_unpacklo_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

/* rows rows of x by four rows of w. */
QM_TILE_INLINE void tile(float *restrict y, size_t ldy, const float *restrict w,
                         const float *restrict x, size_t ldx, size_t k, const size_t rows)
{
    __m512 sum[TILE_X][TILE_W], ws[TILE_W];
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < TILE_W; j++)
        sum[i][j] = _mm512_setzero_ps();
    size_t at = 0;
    for (; k - at >= QM_WIDE; at += QM_WIDE) {
        QM_UNROLL for (size_t j = 0; j < TILE_W; j++) ws[j] = _mm512_loadu_ps(w + j * k + at);
        QM_UNROLL for (size_t i = 0; i < rows; i++)
        {
            const __m512 xs = _mm512_loadu_ps(x + i * ldx + at);
            QM_UNROLL for (size_t j = 0; j < TILE_W; j++) sum[i][j] =
                _mm512_fmadd_ps(ws[j], xs, sum[i][j]);
        }
    }
    if (at < k) { /* the other lanes keep even a negative zero */
        const __mmask16 mask = qm_mask_avx512(k - at);
        QM_UNROLL for (size_t j = 0; j < TILE_W; j++) ws[j] =
            _mm512_maskz_loadu_ps(mask, w + j * k + at);
        QM_UNROLL for (size_t i = 0; i < rows; i++)
        {
            const __m512 xs = _mm512_maskz_loadu_ps(mask, x + i * ldx + at);
            QM_UNROLL for (size_t j = 0; j < TILE_W; j++) sum[i][j] =
                _mm512_mask3_fmadd_ps(ws[j], xs, sum[i][j], mask);
        }
    }
    QM_UNROLL for (size_t i = 0; i < rows; i++) _mm_storeu_ps(y + i * ldy, halve_four(sum[i]));
}

static void block(float *restrict y, size_t ldy, const float *restrict w, const float *restrict x,
                  size_t ldx, size_t m, size_t n, size_t k)
{
    size_t j = 0;
    for (; n - j >= TILE_W; j += TILE_W) {
        const float *wj = w + j * k;
        size_t i = 0;
        for (; m - i >= TILE_X; i += TILE_X)
            tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, TILE_X);
        for (; m - i >= 2; i += 2)
            tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, 2);
        if (i < m) tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, 1);
    }
    for (; j < n; j++)
        for (size_t i = 0; i < m; i++)
            y[i * ldy + j] = qm_dot_f32_avx2(w + j * k, x + i * ldx, k);
}

void qm_matmul_f32_avx512vnni(float *restrict y, size_t ldy, const float *restrict w,
                              const float *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    const size_t tiles = BLOCK_FLOATS / TILE_X / (k + 1), rows = (tiles > 0 ? tiles : 1) * TILE_X;
    for (size_t i = 0; i < m; i += rows)
        block(y + i * ldy, ldy, w, x + i * ldx, ldx, m - i < rows ? m - i : rows, n, k);
}
