#include "kernels/avx2/vmath.h"

void qm_rms_norm_f32_avx2(float *restrict y, const float *restrict x, const float *restrict weight,
                          float eps, size_t n)
{
    float mean = qm_dot_f32_avx2(x, x, n) / (float)n;
    __m256 r = _mm256_set1_ps(1.0f / sqrtf(mean + eps));
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = _mm256_mul_ps(qm_load_avx2(x + i, n - i), r);
        qm_store_avx2(y + i, _mm256_mul_ps(v, qm_load_avx2(weight + i, n - i)), n - i);
    }
}

void qm_conv_f32_avx2(float *restrict y, const float *const *taps, const float *restrict w,
                      size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c += QM_VEC) {
        __m256 acc = qm_load_avx2(bias + c, n - c);
        for (size_t k = 0; k < width; k++)
            acc = _mm256_fmadd_ps(qm_load_avx2(w + k * ldw + c, n - c),
                                  qm_load_avx2(taps[k] + c, n - c), acc);
        qm_store_avx2(y + c, acc, n - c);
    }
}

void qm_silu_f32_avx2(float *y, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = qm_load_avx2(y + i, n - i);
        qm_store_avx2(y + i, _mm256_div_ps(v, qm_one_plus_exp_neg_avx2(v)), n - i);
    }
}

void qm_softplus_f32_avx2(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = qm_load_avx2(y + i, n - i);
        if (bias) v = _mm256_add_ps(v, qm_load_avx2(bias + i, n - i));
        qm_store_avx2(y + i, qm_softplus_avx2(v), n - i);
    }
}

void qm_softplus_log_f32_avx2(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = qm_load_avx2(y + i, n - i);
        if (bias) v = _mm256_add_ps(v, qm_load_avx2(bias + i, n - i));
        qm_store_avx2(y + i, qm_softplus_log_avx2(v), n - i);
    }
}

void qm_gate_f32_avx2(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 gate = qm_load_avx2(z + i, n - i);
        __m256 v = _mm256_mul_ps(qm_load_avx2(y + i, n - i), gate);
        qm_store_avx2(y + i, _mm256_div_ps(v, qm_one_plus_exp_neg_avx2(gate)), n - i);
    }
}

void qm_gate_ref_f32_avx2(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 gate = qm_load_avx2(z + i, n - i);
        gate = _mm256_div_ps(gate, qm_one_plus_exp_neg_avx2(gate));
        qm_store_avx2(y + i, _mm256_mul_ps(qm_load_avx2(y + i, n - i), gate), n - i);
    }
}

void qm_gate_sigmoid_f32_avx2(float *restrict y, const float *restrict z, size_t n)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 gate = qm_load_avx2(z + i, n - i);
        __m256 sigmoid = _mm256_div_ps(one, qm_one_plus_exp_neg_avx2(gate));
        __m256 v = _mm256_mul_ps(qm_load_avx2(y + i, n - i), _mm256_mul_ps(gate, sigmoid));
        qm_store_avx2(y + i, v, n - i);
    }
}

float qm_sum_exp_f32_avx2(const float *x, float max, size_t n)
{
    __m256 lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, m = _mm256_set1_ps(max);
    for (size_t i = 0, side = 0; i < n; i += QM_VEC, side ^= 1) {
        __m256 e = qm_exp_avx2(_mm256_sub_ps(qm_load_avx2(x + i, n - i), m));
        if (n - i < QM_VEC) e = _mm256_and_ps(e, _mm256_castsi256_ps(qm_mask_avx2(n - i)));
        lane[side] = _mm256_add_ps(lane[side], e); /* adding +0 to a lane >= 0 changes nothing */
    }
    return qm_halve_avx2(lane[0], lane[1]);
}

void qm_widen_f16_avx2(float *restrict y, const uint16_t *restrict x, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_VEC; i += QM_VEC)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + i))));
    qm_widen_f16_scalar(y + i, x + i, n - i);
}

void qm_widen_bf16_avx2(float *restrict y, const uint16_t *restrict x, size_t n)
{
    size_t i = 0;
    for (; n - i >= QM_VEC; i += QM_VEC) {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_ps(y + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
    }
    qm_widen_bf16_scalar(y + i, x + i, n - i);
}

void qm_round_f16_avx2(float *y, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m128i half = _mm256_cvtps_ph(qm_load_avx2(y + i, n - i), _MM_FROUND_TO_NEAREST_INT);
        qm_store_avx2(y + i, _mm256_cvtph_ps(half), n - i);
    }
}
