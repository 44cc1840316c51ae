#include "kernels/avx2/vmath.h"
#include "kernels/tile.h"

/* acc = fma(a, b, acc) in the first n (1..7) lanes only: the others keep even a negative zero. */
static inline __m256 fma_first(__m256 acc, __m256 a, __m256 b, __m256i mask)
{
    return _mm256_blendv_ps(acc, _mm256_fmadd_ps(a, b, acc), _mm256_castsi256_ps(mask));
}

float qm_dot_f32_avx2(const float *a, const float *b, size_t n)
{
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    size_t i = 0;
    for (; n - i >= QM_LANES; i += QM_LANES) {
        lo = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), lo);
        hi = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + QM_VEC), _mm256_loadu_ps(b + i + QM_VEC), hi);
    }
    if (n - i >= QM_VEC) {
        lo = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), lo);
        i += QM_VEC;
        __m256i mask = qm_mask_avx2(n - i);
        hi = fma_first(hi, _mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask), mask);
    } else {
        __m256i mask = qm_mask_avx2(n - i);
        lo = fma_first(lo, _mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask), mask);
    }
    return qm_halve_avx2(lo, hi);
}

/* How eight weights of a type become floats, whole and in part. */
static inline __m256 widen_f32(const float *w) { return _mm256_loadu_ps(w); }

static inline __m256 widen_f16(const uint16_t *w)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)w));
}

static inline __m256 widen_bf16(const uint16_t *w)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)w));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* Four rows at a time share the loads of x.  They are taken a quarter of the matrix apart: four
 * long streams are what the processor's prefetcher follows best (rows side by side fall into one
 * page and hide the stream).  The last k % 8 terms go through zero-filled copies, masked. */
#define QM_MATVEC(name, type, widen)                                                               \
    QM_TILE_INLINE void name##_rows(float *restrict y, const type *restrict w, size_t apart,       \
                                    const float *restrict x, size_t k, const size_t rows)          \
    {                                                                                              \
        const size_t step = apart * k;                                                             \
        __m256 lane[2][4];                                                                         \
        QM_UNROLL for (size_t r = 0; r < rows; r++) lane[0][r] = lane[1][r] = _mm256_setzero_ps(); \
        size_t i = 0;                                                                              \
        for (; k - i >= QM_LANES; i += QM_LANES) {                                                 \
            __m256 x0 = _mm256_loadu_ps(x + i), x1 = _mm256_loadu_ps(x + i + QM_VEC);              \
            QM_UNROLL for (size_t r = 0; r < rows; r++)                                            \
            {                                                                                      \
                lane[0][r] = _mm256_fmadd_ps(widen(w + r * step + i), x0, lane[0][r]);             \
                lane[1][r] = _mm256_fmadd_ps(widen(w + r * step + i + QM_VEC), x1, lane[1][r]);    \
            }                                                                                      \
        }                                                                                          \
        const bool eight = k - i >= QM_VEC;                                                        \
        if (eight) {                                                                               \
            __m256 x0 = _mm256_loadu_ps(x + i);                                                    \
            QM_UNROLL for (size_t r = 0; r < rows; r++) lane[0][r] =                               \
                _mm256_fmadd_ps(widen(w + r * step + i), x0, lane[0][r]);                          \
            i += QM_VEC;                                                                           \
        }                                                                                          \
        if (i < k) {                                                                               \
            __m256i mask = qm_mask_avx2(k - i);                                                    \
            __m256 xs = _mm256_maskload_ps(x + i, mask);                                           \
            for (size_t r = 0; r < rows; r++) {                                                    \
                type ws[QM_VEC] = {0};                                                             \
                for (size_t j = i; j < k; j++)                                                     \
                    ws[j - i] = w[r * step + j];                                                   \
                lane[eight][r] = fma_first(lane[eight][r], widen(ws), xs, mask);                   \
            }                                                                                      \
        }                                                                                          \
        QM_UNROLL for (size_t r = 0; r < rows; r++) y[r * apart] =                                 \
            qm_halve_avx2(lane[0][r], lane[1][r]);                                                 \
    }                                                                                              \
    void name(float *restrict y, const type *restrict w, const float *restrict x, size_t n,        \
              size_t k)                                                                            \
    {                                                                                              \
        const size_t quarter = n / 4;                                                              \
        for (size_t j = 0; j < quarter; j++)                                                       \
            name##_rows(y + j, w + j * k, quarter, x, k, 4);                                       \
        for (size_t j = 4 * quarter; j < n; j++)                                                   \
            name##_rows(y + j, w + j * k, 1, x, k, 1);                                             \
    }
QM_MATVEC(qm_matvec_f32_avx2, float, widen_f32)
QM_MATVEC(qm_matvec_f16_avx2, uint16_t, widen_f16)
QM_MATVEC(qm_matvec_bf16_avx2, uint16_t, widen_bf16)
#undef QM_MATVEC

/* A tile of x rows by four w rows.  The sixteen lanes of its outputs do not fit the registers, so
 * lanes 0..7 are summed over a stretch of terms first, then lanes 8..15, whose halves of the cache
 * lines are still there. */
enum { QM_TILE_X = 3, QM_TILE_W = 4, QM_BLOCK_X = 96, QM_STRETCH = 32 * QM_LANES };

QM_TILE_INLINE void half_tile(__m256 acc[QM_TILE_X][QM_TILE_W], const float *restrict w, size_t ldw,
                              const float *restrict x, size_t ldx, size_t k, const size_t rows,
                              const size_t side)
{
    __m256 sum[QM_TILE_X][QM_TILE_W];
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++)
        sum[i][j] = acc[i][j];
    size_t at = side * QM_VEC;
    for (; at + QM_VEC <= k; at += QM_LANES) {
        __m256 ws[QM_TILE_W];
        QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++) ws[j] = _mm256_loadu_ps(w + j * ldw + at);
        QM_UNROLL for (size_t i = 0; i < rows; i++)
        {
            __m256 xs = _mm256_loadu_ps(x + i * ldx + at);
            QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++) sum[i][j] =
                _mm256_fmadd_ps(ws[j], xs, sum[i][j]);
        }
    }
    if (at < k) {
        __m256i mask = qm_mask_avx2(k - at);
        QM_UNROLL for (size_t i = 0; i < rows; i++)
        {
            __m256 xs = _mm256_maskload_ps(x + i * ldx + at, mask);
            QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++) sum[i][j] =
                fma_first(sum[i][j], _mm256_maskload_ps(w + j * ldw + at, mask), xs, mask);
        }
    }
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++)
        acc[i][j] = sum[i][j];
}

/* Four sums of eight lanes each, halved together. */
static inline __m128 halve_four(const __m256 v[QM_TILE_W])
{
    /* 8 -> 4 lanes: two outputs in one register */
    __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(v[0], v[1], 0x20),
                              _mm256_permute2f128_ps(v[0], v[1], 0x31));
    __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(v[2], v[3], 0x20),
                              _mm256_permute2f128_ps(v[2], v[3], 0x31));
    /* 4 -> 2 lanes: a c | b d */
    __m256 abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(1, 0, 1, 0)),
                                _mm256_shuffle_ps(ab, cd, _MM_SHUFFLE(3, 2, 3, 2)));
    /* 2 -> 1 */
    __m256 sums = _mm256_add_ps(_mm256_shuffle_ps(abcd, abcd, _MM_SHUFFLE(2, 0, 2, 0)),
                                _mm256_shuffle_ps(abcd, abcd, _MM_SHUFFLE(3, 1, 3, 1)));
    return _mm_unpacklo_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

QM_TILE_INLINE void tile(float *restrict y, size_t ldy, const float *restrict w,
                         const float *restrict x, size_t ldx, size_t k, const size_t rows)
{
    __m256 lo[QM_TILE_X][QM_TILE_W], hi[QM_TILE_X][QM_TILE_W];
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++)
        lo[i][j] = hi[i][j] = _mm256_setzero_ps();
    for (size_t at = 0; at < k; at += QM_STRETCH) {
        const size_t n = k - at < QM_STRETCH ? k - at : QM_STRETCH;
        half_tile(lo, w + at, k, x + at, ldx, n, rows, 0);
        half_tile(hi, w + at, k, x + at, ldx, n, rows, 1);
    }
    QM_UNROLL for (size_t i = 0; i < rows; i++)
    {
        QM_UNROLL for (size_t j = 0; j < QM_TILE_W; j++) lo[i][j] =
            _mm256_add_ps(lo[i][j], hi[i][j]);
        _mm_storeu_ps(y + i * ldy, halve_four(lo[i]));
    }
}

void qm_matmul_f32_avx2(float *restrict y, size_t ldy, const float *restrict w,
                        const float *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    /* A block of x stays in the second-level cache while all of w passes over it. */
    for (size_t block = 0; block < m; block += QM_BLOCK_X) {
        size_t end = m - block < QM_BLOCK_X ? m : block + QM_BLOCK_X;
        size_t j = 0;
        for (; n - j >= QM_TILE_W; j += QM_TILE_W) {
            size_t i = block;
            const float *wj = w + j * k;
            for (; end - i >= QM_TILE_X; i += QM_TILE_X)
                tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, QM_TILE_X);
            if (end - i == 2)
                tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, 2);
            else if (end - i == 1)
                tile(y + i * ldy + j, ldy, wj, x + i * ldx, ldx, k, 1);
        }
        for (; j < n; j++)
            for (size_t i = block; i < end; i++)
                y[i * ldy + j] = qm_dot_f32_avx2(w + j * k, x + i * ldx, k);
    }
}
