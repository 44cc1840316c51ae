#include "base/half.h"
#include "kernels/neon/vmath.h"

/* How four weights of a type become floats, and one. */
static inline float32x4_t widen_f32(const float *w) { return vld1q_f32(w); }

static inline float32x4_t widen_f16(const uint16_t *w)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(w)));
}

static inline float32x4_t widen_bf16(const uint16_t *w)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(w), 16));
}

static inline float same_f32(float w) { return w; }

/* Four rows at a time share the loads of x, a quarter of the matrix apart: long streams are what a
 * prefetcher follows best.  The last k % 16 terms are added one by one, each to its lane. */
#define QM_MATVEC(name, type, widen, widen_one)                                                    \
    QM_TILE_INLINE void name##_rows(float *restrict y, const type *restrict w, size_t apart,       \
                                    const float *restrict x, size_t k, const size_t rows)          \
    {                                                                                              \
        const size_t step = apart * k;                                                             \
        float32x4_t lane[4][QM_QUADS];                                                             \
        QM_UNROLL for (size_t r = 0; r < rows; r++)                                                \
            QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++) lane[r][q] = vdupq_n_f32(0.0f);        \
        size_t i = 0;                                                                              \
        for (; k - i >= QM_LANES; i += QM_LANES)                                                   \
            QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++)                                        \
            {                                                                                      \
                const size_t at = i + q * QM_QUAD;                                                 \
                float32x4_t xs = vld1q_f32(x + at);                                                \
                QM_UNROLL for (size_t r = 0; r < rows; r++) lane[r][q] =                           \
                    vfmaq_f32(lane[r][q], widen(w + r * step + at), xs);                           \
            }                                                                                      \
        if (i < k) QM_UNROLL for (size_t r = 0; r < rows; r++)                                     \
            {                                                                                      \
                float one[QM_LANES];                                                               \
                QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++)                                    \
                    vst1q_f32(one + q * QM_QUAD, lane[r][q]);                                      \
                for (size_t j = i; j < k; j++)                                                     \
                    one[j - i] = fmaf(widen_one(w[r * step + j]), x[j], one[j - i]);               \
                QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++) lane[r][q] =                       \
                    vld1q_f32(one + q * QM_QUAD);                                                  \
            }                                                                                      \
        QM_UNROLL for (size_t r = 0; r < rows; r++) y[r * apart] = qm_halve_neon(lane[r]);         \
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
QM_MATVEC(qm_matvec_f32_neon, float, widen_f32, same_f32)
QM_MATVEC(qm_matvec_f16_neon, uint16_t, widen_f16, qm_f32_f16)
QM_MATVEC(qm_matvec_bf16_neon, uint16_t, widen_bf16, qm_f32_bf16)
#undef QM_MATVEC

float qm_dot_f32_neon(const float *a, const float *b, size_t n)
{
    float sum;
    qm_matvec_f32_neon_rows(&sum, a, 1, b, n, 1);
    return sum;
}

/* A tile of x rows by four w rows.  The sixteen lanes of its outputs do not fit the registers, so
 * four lanes are summed over all of k, then the next four. */
enum { TILE_X = 4, TILE_W = 4, BLOCK_X = 64 };

QM_TILE_INLINE void quarter_tile(float32x4_t sum[TILE_X][TILE_W], const float *restrict w,
                                 const float *restrict x, size_t ldx, size_t k, const size_t rows,
                                 const size_t q)
{
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < TILE_W; j++)
        sum[i][j] = vdupq_n_f32(0.0f);
    for (size_t at = 0; at < k; at += QM_LANES) {
        float32x4_t ws[TILE_W];
        QM_UNROLL for (size_t j = 0; j < TILE_W; j++) ws[j] =
            vld1q_f32(w + j * k + at + q * QM_QUAD);
        QM_UNROLL for (size_t i = 0; i < rows; i++)
        {
            float32x4_t xs = vld1q_f32(x + i * ldx + at + q * QM_QUAD);
            QM_UNROLL for (size_t j = 0; j < TILE_W; j++) sum[i][j] =
                vfmaq_f32(sum[i][j], ws[j], xs);
        }
    }
}

/* k: a multiple of 16 */
QM_TILE_INLINE void tile(float *restrict y, size_t ldy, const float *restrict w,
                         const float *restrict x, size_t ldx, size_t k, const size_t rows)
{
    float32x4_t sum[QM_QUADS][TILE_X][TILE_W];
    QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++) quarter_tile(sum[q], w, x, ldx, k, rows, q);
    QM_UNROLL for (size_t i = 0; i < rows; i++) QM_UNROLL for (size_t j = 0; j < TILE_W; j++)
    {
        const float32x4_t lane[QM_QUADS] = {sum[0][i][j], sum[1][i][j], sum[2][i][j], sum[3][i][j]};
        y[i * ldy + j] = qm_halve_neon(lane);
    }
}

void qm_matmul_f32_neon(float *restrict y, size_t ldy, const float *restrict w,
                        const float *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    const size_t tiled = k % QM_LANES == 0 ? n / TILE_W * TILE_W : 0;
    /* A block of x stays in the second-level cache while all of w passes over it. */
    for (size_t block = 0; block < m; block += BLOCK_X) {
        const size_t end = m - block < BLOCK_X ? m : block + BLOCK_X;
        for (size_t j = 0; j < tiled; j += TILE_W) {
            size_t i = block;
            for (; end - i >= TILE_X; i += TILE_X)
                tile(y + i * ldy + j, ldy, w + j * k, x + i * ldx, ldx, k, TILE_X);
            for (; i < end; i++)
                tile(y + i * ldy + j, ldy, w + j * k, x + i * ldx, ldx, k, 1);
        }
        for (size_t i = block; i < end; i++)
            qm_matvec_f32_neon(y + i * ldy + tiled, w + tiled * k, x + i * ldx, n - tiled, k);
    }
}
