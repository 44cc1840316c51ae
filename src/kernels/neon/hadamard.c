#include "kernels/neon/vmath.h"

#define MINUS 0x80000000u

/* Strides 1 and 2 within a register.  (a, b) -> (a + b, a - b) is the swapped pair plus (a, -b). */
static inline float32x4_t inner_strides(float32x4_t v)
{
    static const uint32_t odd[] = {0, MINUS, 0, MINUS}, upper[] = {0, 0, MINUS, MINUS};
    v = vaddq_f32(vrev64q_f32(v), qm_xor_neon(v, vld1q_u32(odd)));
    return vaddq_f32(vextq_f32(v, v, 2), qm_xor_neon(v, vld1q_u32(upper)));
}

/* n_vectors registers of one row of the mix; the sums in x. */
QM_TILE_INLINE void mix(float *restrict x, const float *restrict from, const int8_t *restrict signs,
                        size_t m, size_t width, float scale, const size_t n_vectors)
{
    float32x4_t sum[4];
    QM_UNROLL for (size_t v = 0; v < n_vectors; v++) sum[v] = vdupq_n_f32(0.0f);
    for (size_t c = 0; c < m; c++) {
        uint32x4_t sign = vdupq_n_u32(signs[c] > 0 ? 0 : MINUS);
        QM_UNROLL for (size_t v = 0; v < n_vectors; v++) sum[v] =
            vaddq_f32(sum[v], qm_xor_neon(vld1q_f32(from + c * width + v * QM_QUAD), sign));
    }
    QM_UNROLL for (size_t v = 0; v < n_vectors; v++)
        vst1q_f32(x + v * QM_QUAD, vmulq_f32(sum[v], vdupq_n_f32(scale)));
}

void qm_hadamard_f32_neon(float *restrict x, float *restrict scratch, const int8_t *restrict signs,
                          size_t m, size_t width, float scale)
{
    if (width < QM_QUAD) {
        qm_hadamard_f32_scalar(x, scratch, signs, m, width, scale);
        return;
    }
    const size_t n = m * width;
    float *to = m > 1 ? scratch : x; /* the mix cannot be made in place */
    for (size_t i = 0; i < n; i += QM_QUAD)
        vst1q_f32(to + i, inner_strides(vld1q_f32(x + i)));
    for (size_t stride = QM_QUAD; stride < width; stride *= 2)
        for (size_t i = 0; i < n; i += 2 * stride)
            for (size_t j = i; j < i + stride; j += QM_QUAD) {
                float32x4_t a = vld1q_f32(to + j), b = vld1q_f32(to + j + stride);
                vst1q_f32(to + j, vaddq_f32(a, b));
                vst1q_f32(to + j + stride, vsubq_f32(a, b));
            }
    if (m == 1)
        for (size_t i = 0; i < n; i += QM_QUAD)
            vst1q_f32(x + i, vmulq_f32(vld1q_f32(x + i), vdupq_n_f32(scale)));
    else
        for (size_t row = 0; row < m; row++, x += width, signs += m) {
            size_t r = 0;
            for (; width - r >= 4 * QM_QUAD; r += 4 * QM_QUAD)
                mix(x + r, scratch + r, signs, m, width, scale, 4);
            for (; r < width; r += QM_QUAD)
                mix(x + r, scratch + r, signs, m, width, scale, 1);
        }
}
