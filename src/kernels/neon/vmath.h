/* Four floats at a time: base/fmath.h operation by operation.  What is left at the end of an array,
 * fewer than four, is the scalar version's. */
#ifndef QM_KERNELS_NEON_VMATH_H
#define QM_KERNELS_NEON_VMATH_H

#include "base/fmath.h"
#include "kernels/kernels.h"
#include "kernels/tile.h"

#include <arm_neon.h>

enum { QM_QUAD = 4, QM_QUADS = QM_LANES / QM_QUAD }; /* floats in a register, registers of lanes */

/* One bit flipped: the sign. */
static inline float32x4_t qm_xor_neon(float32x4_t x, uint32x4_t bits)
{
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(x), bits));
}

/* The lanes of a reduction, halved. */
static inline float qm_halve_neon(const float32x4_t lane[QM_QUADS])
{
    float32x4_t four = vaddq_f32(vaddq_f32(lane[0], lane[2]), vaddq_f32(lane[1], lane[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

/* e^r 2^n, |r| <= ln(2) / 2.  A NaN in r is a NaN in y, and no power of two changes that. */
static inline float32x4_t qm_exp_core_neon(float32x4_t r, int32x4_t n)
{
    float32x4_t p = vdupq_n_f32(QM_EXP_C6);
    p = vfmaq_f32(vdupq_n_f32(QM_EXP_C5), p, r);
    p = vfmaq_f32(vdupq_n_f32(QM_EXP_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(QM_EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(QM_EXP_C2), p, r);
    float32x4_t y = vaddq_f32(vfmaq_f32(r, vmulq_f32(r, r), p), vdupq_n_f32(1.0f));
    int32x4_t half = vshrq_n_s32(n, 1), bias = vdupq_n_s32(127);
    int32x4_t a = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t b = vshlq_n_s32(vaddq_s32(vsubq_s32(n, half), bias), 23);
    return vmulq_f32(vmulq_f32(y, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

/* Keeps a NaN in x: vminq and vmaxq do. */
static inline float32x4_t qm_clamp_neon(float32x4_t x, float low, float high)
{
    return vminq_f32(vdupq_n_f32(high), vmaxq_f32(vdupq_n_f32(low), x));
}

static inline int32x4_t qm_magic_difference_neon(float32x4_t shifted)
{
    return vsubq_s32(vreinterpretq_s32_f32(shifted),
                     vreinterpretq_s32_f32(vdupq_n_f32(QM_ROUND_MAGIC)));
}

static inline float32x4_t qm_exp_neon(float32x4_t x)
{
    const float32x4_t magic = vdupq_n_f32(QM_ROUND_MAGIC);
    float32x4_t c = qm_clamp_neon(x, QM_EXP_LOW, QM_EXP_HIGH);
    float32x4_t shifted = vfmaq_f32(magic, c, vdupq_n_f32(QM_LOG2E));
    float32x4_t nf = vsubq_f32(shifted, magic);
    float32x4_t r = vfmsq_f32(c, nf, vdupq_n_f32(QM_LN2_HI));
    r = vfmsq_f32(r, nf, vdupq_n_f32(QM_LN2_LO));
    return qm_exp_core_neon(r, qm_magic_difference_neon(shifted));
}

static inline float32x4_t qm_exp2_neon(float32x4_t x)
{
    const float32x4_t magic = vdupq_n_f32(QM_ROUND_MAGIC);
    float32x4_t c = qm_clamp_neon(x, QM_EXP2_LOW, QM_EXP2_HIGH), shifted = vaddq_f32(c, magic);
    float32x4_t r = vsubq_f32(c, vsubq_f32(shifted, magic));
    return qm_exp_core_neon(vmulq_f32(r, vdupq_n_f32(QM_LN2)), qm_magic_difference_neon(shifted));
}

static inline float32x4_t qm_log_core_neon(float32x4_t u, float32x4_t correction)
{
    const int32x4_t root = vdupq_n_s32((int)QM_SQRT_HALF_BITS);
    int32x4_t bits = vsubq_s32(vreinterpretq_s32_f32(u), root);
    float32x4_t k = vcvtq_f32_s32(vshrq_n_s32(bits, 23));
    int32x4_t m = vaddq_s32(vandq_s32(bits, vdupq_n_s32(0x7fffff)), root);
    float32x4_t f = vsubq_f32(vreinterpretq_f32_s32(m), vdupq_n_f32(1.0f));
    float32x4_t p = vdupq_n_f32(QM_LOG_C10);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C9), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C8), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C7), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C6), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C5), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C4), p, f);
    p = vfmaq_f32(vdupq_n_f32(QM_LOG_C3), p, f);
    float32x4_t f2 = vmulq_f32(f, f);
    float32x4_t tail = vfmaq_f32(correction, k, vdupq_n_f32(QM_LN2_LO));
    tail = vfmaq_f32(tail, vmulq_f32(f2, f), p);
    tail = vfmaq_f32(tail, f2, vdupq_n_f32(-0.5f));
    return vfmaq_f32(vaddq_f32(f, tail), k, vdupq_n_f32(QM_LN2_HI));
}

/* x above the threshold or NaN, log1p(exp(x)) or log(exp(x) + 1) below it. */
static inline float32x4_t qm_softplus_neon(float32x4_t x, bool use_log1p)
{
    const float32x4_t one = vdupq_n_f32(1.0f), limit = vdupq_n_f32(QM_SOFTPLUS_THRESHOLD);
    float32x4_t e = qm_exp_neon(vminq_f32(limit, x)), u = vaddq_f32(one, e);
    float32x4_t correction = vdupq_n_f32(0.0f);
    if (use_log1p) {
        float32x4_t small = vsubq_f32(e, vsubq_f32(u, one));
        float32x4_t large = vsubq_f32(one, vsubq_f32(u, e));
        correction = vdivq_f32(vbslq_f32(vcltq_f32(e, one), small, large), u);
    }
    return vbslq_f32(vcleq_f32(x, limit), qm_log_core_neon(u, correction), x);
}

/* 1 + exp(-x), the denominator of SiLU and of the gate. */
static inline float32x4_t qm_one_plus_exp_neg_neon(float32x4_t x)
{
    return vaddq_f32(vdupq_n_f32(1.0f), qm_exp_neon(vnegq_f32(x)));
}

#endif
