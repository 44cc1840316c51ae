/* Floats and sums to INT8 codes, and back.  The conversions to integers round to even or away from
 * zero by themselves, saturate, and make 0 of NaN; so does narrowing but for the rounding. */
#include "kernels/neon/vmath.h"

enum { OCTET = 8 }; /* codes at a time */

/* The codes of eight integers that came from x; returns how many do not fit or came from NaN. */
static inline size_t put_codes(int8_t *q, int32x4_t low, int32x4_t high, const float32x4_t x[2])
{
    int8x8_t codes = vqmovn_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high)));
    vst1_s8(q, codes);
    int16x8_t wide = vmovl_s8(codes);
    uint32x4_t fit_low =
        vandq_u32(vceqq_s32(low, vmovl_s16(vget_low_s16(wide))), vceqq_f32(x[0], x[0]));
    uint32x4_t fit_high =
        vandq_u32(vceqq_s32(high, vmovl_s16(vget_high_s16(wide))), vceqq_f32(x[1], x[1]));
    uint16x8_t fit = vcombine_u16(vmovn_u32(fit_low), vmovn_u32(fit_high)); /* all ones: yes */
    return OCTET - (size_t)vaddvq_u16(vshrq_n_u16(fit, 15));
}

static inline size_t put_even(int8_t *q, const float32x4_t x[2])
{
    return put_codes(q, vcvtnq_s32_f32(x[0]), vcvtnq_s32_f32(x[1]), x);
}

static inline size_t put_away(int8_t *q, const float32x4_t x[2])
{
    return put_codes(q, vcvtaq_s32_f32(x[0]), vcvtaq_s32_f32(x[1]), x);
}

size_t qm_quantize_even_i8_neon(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    const float32x4_t divisor = vdupq_n_f32(scale);
    size_t i = 0, lost = 0;
    for (; n - i >= OCTET; i += OCTET) {
        const float32x4_t v[2] = {vdivq_f32(vld1q_f32(x + i), divisor),
                                  vdivq_f32(vld1q_f32(x + i + QM_QUAD), divisor)};
        lost += put_even(q + i, v);
    }
    return lost + qm_quantize_even_i8_scalar(q + i, x + i, scale, n - i);
}

size_t qm_quantize_away_i8_neon(int8_t *restrict q, const float *restrict x, float scale, size_t n)
{
    const float32x4_t divisor = vdupq_n_f32(scale);
    size_t i = 0, lost = 0;
    for (; n - i >= OCTET; i += OCTET) {
        const float32x4_t v[2] = {vdivq_f32(vld1q_f32(x + i), divisor),
                                  vdivq_f32(vld1q_f32(x + i + QM_QUAD), divisor)};
        lost += put_away(q + i, v);
    }
    return lost + qm_quantize_away_i8_scalar(q + i, x + i, scale, n - i);
}

/* second * (first * sum) */
static inline float32x4_t rescale(const int32_t *acc, float first, float second)
{
    float32x4_t sum = vcvtq_f32_s32(vld1q_s32(acc));
    return vmulq_f32(vdupq_n_f32(second), vmulq_f32(vdupq_n_f32(first), sum));
}

size_t qm_requantize_i8_neon(int8_t *restrict q, const int32_t *restrict acc, float first,
                             float second, size_t n)
{
    size_t i = 0, lost = 0;
    for (; n - i >= OCTET; i += OCTET) {
        const float32x4_t v[2] = {rescale(acc + i, first, second),
                                  rescale(acc + i + QM_QUAD, first, second)};
        lost += put_even(q + i, v);
    }
    return lost + qm_requantize_i8_scalar(q + i, acc + i, first, second, n - i);
}

void qm_rescale_f16_neon(float *restrict y, const int32_t *restrict acc, float first, float second,
                         size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD)
        vst1q_f32(y + i, vcvt_f32_f16(vcvt_f16_f32(rescale(acc + i, first, second))));
    qm_rescale_f16_scalar(y + i, acc + i, first, second, n - i);
}

/* Eight codes or sums as floats. */
static inline void widen(float32x4_t v[2], int16x8_t codes)
{
    v[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(codes)));
    v[1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(codes)));
}

void qm_dequantize_i8_neon(float *restrict y, const int8_t *restrict q, float scale, size_t n)
{
    size_t i = 0;
    for (; n - i >= OCTET; i += OCTET) {
        float32x4_t v[2];
        widen(v, vmovl_s8(vld1_s8(q + i)));
        vst1q_f32(y + i, vmulq_f32(vdupq_n_f32(scale), v[0]));
        vst1q_f32(y + i + QM_QUAD, vmulq_f32(vdupq_n_f32(scale), v[1]));
    }
    qm_dequantize_i8_scalar(y + i, q + i, scale, n - i);
}

/* Eight times fma(scale, v, bias). */
static inline void put_affine(float *y, float scale, const float32x4_t v[2], const float *bias)
{
    vst1q_f32(y, vfmaq_f32(vld1q_f32(bias), vdupq_n_f32(scale), v[0]));
    vst1q_f32(y + QM_QUAD, vfmaq_f32(vld1q_f32(bias + QM_QUAD), vdupq_n_f32(scale), v[1]));
}

void qm_affine_i8_neon(float *restrict y, const int8_t *restrict q, float scale,
                       const float *restrict bias, size_t n)
{
    size_t i = 0;
    for (; n - i >= OCTET; i += OCTET) {
        float32x4_t v[2];
        widen(v, vmovl_s8(vld1_s8(q + i)));
        put_affine(y + i, scale, v, bias + i);
    }
    qm_affine_i8_scalar(y + i, q + i, scale, bias + i, n - i);
}

void qm_conv_i8_neon(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                     size_t ldw, float scale, const float *restrict bias, size_t n, size_t width)
{
    size_t c = 0;
    for (; n - c >= OCTET; c += OCTET) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (size_t k = 0; k < width; k++) {
            int16x8_t product = vmull_s8(vld1_s8(w + k * ldw + c), vld1_s8(taps[k] + c));
            low = vaddw_s16(low, vget_low_s16(product));
            high = vaddw_s16(high, vget_high_s16(product));
        }
        const float32x4_t v[2] = {vcvtq_f32_s32(low), vcvtq_f32_s32(high)};
        put_affine(y + c, scale, v, bias + c);
    }
    for (; c < n; c++) {
        int32_t sum = 0;
        for (size_t k = 0; k < width; k++)
            sum += w[k * ldw + c] * taps[k][c];
        y[c] = fmaf(scale, (float)sum, bias[c]);
    }
}
