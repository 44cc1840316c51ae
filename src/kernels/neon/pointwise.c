#include "kernels/neon/vmath.h"

void qm_rms_norm_f32_neon(float *restrict y, const float *restrict x, const float *restrict weight,
                          float eps, size_t n)
{
    const float mean = qm_dot_f32_neon(x, x, n) / (float)n, r = 1.0f / sqrtf(mean + eps);
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(weight + i)));
    for (; i < n; i++)
        y[i] = (x[i] * r) * weight[i];
}

void qm_conv_f32_neon(float *restrict y, const float *const *taps, const float *restrict w,
                      size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    size_t c = 0;
    for (; n - c >= QM_QUAD; c += QM_QUAD) {
        float32x4_t acc = vld1q_f32(bias + c);
        for (size_t k = 0; k < width; k++)
            acc = vfmaq_f32(acc, vld1q_f32(w + k * ldw + c), vld1q_f32(taps[k] + c));
        vst1q_f32(y + c, acc);
    }
    for (; c < n; c++) {
        float acc = bias[c];
        for (size_t k = 0; k < width; k++)
            acc = fmaf(w[k * ldw + c], taps[k][c], acc);
        y[c] = acc;
    }
}

void qm_silu_f32_neon(float *y, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD) {
        float32x4_t v = vld1q_f32(y + i);
        vst1q_f32(y + i, vdivq_f32(v, qm_one_plus_exp_neg_neon(v)));
    }
    qm_silu_f32_scalar(y + i, n - i);
}

/* The whole vectors of a softplus; returns where they end. */
static inline size_t softplus(float *restrict y, const float *restrict bias, size_t n,
                              bool use_log1p)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD) {
        float32x4_t v = vld1q_f32(y + i);
        if (bias) v = vaddq_f32(v, vld1q_f32(bias + i));
        vst1q_f32(y + i, qm_softplus_neon(v, use_log1p));
    }
    return i;
}

void qm_softplus_f32_neon(float *restrict y, const float *restrict bias, size_t n)
{
    const size_t i = softplus(y, bias, n, true);
    qm_softplus_f32_scalar(y + i, bias ? bias + i : NULL, n - i);
}

void qm_softplus_log_f32_neon(float *restrict y, const float *restrict bias, size_t n)
{
    const size_t i = softplus(y, bias, n, false);
    qm_softplus_log_f32_scalar(y + i, bias ? bias + i : NULL, n - i);
}

void qm_gate_f32_neon(float *restrict y, const float *restrict z, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD) {
        float32x4_t gate = vld1q_f32(z + i), v = vmulq_f32(vld1q_f32(y + i), gate);
        vst1q_f32(y + i, vdivq_f32(v, qm_one_plus_exp_neg_neon(gate)));
    }
    qm_gate_f32_scalar(y + i, z + i, n - i);
}

void qm_gate_ref_f32_neon(float *restrict y, const float *restrict z, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD) {
        float32x4_t gate = vld1q_f32(z + i);
        gate = vdivq_f32(gate, qm_one_plus_exp_neg_neon(gate));
        vst1q_f32(y + i, vmulq_f32(vld1q_f32(y + i), gate));
    }
    qm_gate_ref_f32_scalar(y + i, z + i, n - i);
}

void qm_gate_sigmoid_f32_neon(float *restrict y, const float *restrict z, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD) {
        float32x4_t gate = vld1q_f32(z + i);
        float32x4_t sigmoid = vdivq_f32(vdupq_n_f32(1.0f), qm_one_plus_exp_neg_neon(gate));
        vst1q_f32(y + i, vmulq_f32(vld1q_f32(y + i), vmulq_f32(gate, sigmoid)));
    }
    qm_gate_sigmoid_f32_scalar(y + i, z + i, n - i);
}

float qm_sum_exp_f32_neon(const float *x, float max, size_t n)
{
    const float32x4_t m = vdupq_n_f32(max);
    float32x4_t lane[QM_QUADS];
    for (size_t q = 0; q < QM_QUADS; q++)
        lane[q] = vdupq_n_f32(0.0f);
    size_t i = 0;
    for (; n - i >= QM_LANES; i += QM_LANES)
        QM_UNROLL for (size_t q = 0; q < QM_QUADS; q++) lane[q] =
            vaddq_f32(lane[q], qm_exp_neon(vsubq_f32(vld1q_f32(x + i + q * QM_QUAD), m)));
    float rest[QM_LANES] = {0}; /* adding +0 to a lane >= 0 changes nothing */
    for (size_t j = 0; i + j < n; j++)
        rest[j] = qm_expf(x[i + j] - max);
    for (size_t q = 0; q < QM_QUADS; q++)
        lane[q] = vaddq_f32(lane[q], vld1q_f32(rest + q * QM_QUAD));
    return qm_halve_neon(lane);
}

static inline float32x4_t widen(uint16x4_t half)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(half));
}

void qm_widen_f16_neon(float *restrict y, const uint16_t *restrict x, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD)
        vst1q_f32(y + i, widen(vld1_u16(x + i)));
    qm_widen_f16_scalar(y + i, x + i, n - i);
}

void qm_widen_bf16_neon(float *restrict y, const uint16_t *restrict x, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD)
        vst1q_f32(y + i, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(x + i), 16)));
    qm_widen_bf16_scalar(y + i, x + i, n - i);
}

void qm_round_f16_neon(float *y, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_QUAD; i += QM_QUAD)
        vst1q_f32(y + i, vcvt_f32_f16(vcvt_f16_f32(vld1q_f32(y + i))));
    qm_round_f16_scalar(y + i, n - i);
}
