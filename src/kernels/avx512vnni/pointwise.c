#include "kernels/avx512vnni/vmath.h"

void qm_silu_f32_avx512vnni(float *y, size_t n)
{
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, y + i);
        _mm512_mask_storeu_ps(y + i, mask, _mm512_div_ps(v, qm_one_plus_exp_neg_avx512(v)));
    }
}

static inline void softplus(float *restrict y, const float *restrict bias, size_t n, bool use_log1p)
{
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 v = _mm512_maskz_loadu_ps(mask, y + i);
        if (bias) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, bias + i));
        _mm512_mask_storeu_ps(y + i, mask, qm_softplus_avx512(v, use_log1p));
    }
}

void qm_softplus_f32_avx512vnni(float *restrict y, const float *restrict bias, size_t n)
{
    softplus(y, bias, n, true);
}

void qm_softplus_log_f32_avx512vnni(float *restrict y, const float *restrict bias, size_t n)
{
    softplus(y, bias, n, false);
}

void qm_gate_f32_avx512vnni(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 gate = _mm512_maskz_loadu_ps(mask, z + i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, y + i), gate);
        _mm512_mask_storeu_ps(y + i, mask, _mm512_div_ps(v, qm_one_plus_exp_neg_avx512(gate)));
    }
}

void qm_gate_ref_f32_avx512vnni(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 gate = _mm512_maskz_loadu_ps(mask, z + i);
        gate = _mm512_div_ps(gate, qm_one_plus_exp_neg_avx512(gate));
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, y + i), gate);
        _mm512_mask_storeu_ps(y + i, mask, v);
    }
}

void qm_gate_sigmoid_f32_avx512vnni(float *restrict y, const float *restrict z, size_t n)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 gate = _mm512_maskz_loadu_ps(mask, z + i);
        __m512 sigmoid = _mm512_div_ps(one, qm_one_plus_exp_neg_avx512(gate));
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, y + i), _mm512_mul_ps(gate, sigmoid));
        _mm512_mask_storeu_ps(y + i, mask, v);
    }
}

float qm_sum_exp_f32_avx512vnni(const float *x, float max, size_t n)
{
    __m512 lane = _mm512_setzero_ps(), m = _mm512_set1_ps(max);
    for (size_t i = 0; i < n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(n - i);
        __m512 e = qm_exp_avx512(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), m));
        lane = _mm512_mask_add_ps(lane, mask, lane, e);
    }
    return qm_halve_avx2(_mm512_castps512_ps256(lane), _mm512_extractf32x8_ps(lane, 1));
}
