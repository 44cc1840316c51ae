#include "kernels/avx2/vmath.h"

/* The last n % 8 elements go through the same code with masked loads and stores: a full mask costs
 * a little, so whole vectors take the plain instructions. */
static inline __m256 load(const float *x, size_t left)
{
    return left >= QM_VEC ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, qm_mask_avx2(left));
}

static inline void store(float *y, __m256 v, size_t left)
{
    if (left >= QM_VEC)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, qm_mask_avx2(left), v);
}

void qm_rms_norm_f32_avx2(float *restrict y, const float *restrict x, const float *restrict weight,
                          float eps, size_t n)
{
    float mean = qm_dot_f32_avx2(x, x, n) / (float)n;
    __m256 r = _mm256_set1_ps(1.0f / sqrtf(mean + eps));
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = _mm256_mul_ps(load(x + i, n - i), r);
        store(y + i, _mm256_mul_ps(v, load(weight + i, n - i)), n - i);
    }
}

void qm_conv_f32_avx2(float *restrict y, const float *const *taps, const float *restrict w,
                      size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c += QM_VEC) {
        __m256 acc = load(bias + c, n - c);
        for (size_t k = 0; k < width; k++)
            acc = _mm256_fmadd_ps(load(w + k * ldw + c, n - c), load(taps[k] + c, n - c), acc);
        store(y + c, acc, n - c);
    }
}

void qm_silu_f32_avx2(float *y, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = load(y + i, n - i);
        store(y + i, _mm256_div_ps(v, qm_one_plus_exp_neg_avx2(v)), n - i);
    }
}

void qm_softplus_f32_avx2(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = load(y + i, n - i);
        if (bias) v = _mm256_add_ps(v, load(bias + i, n - i));
        store(y + i, qm_softplus_avx2(v), n - i);
    }
}

void qm_softplus_log_f32_avx2(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 v = load(y + i, n - i);
        if (bias) v = _mm256_add_ps(v, load(bias + i, n - i));
        store(y + i, qm_softplus_log_avx2(v), n - i);
    }
}

void qm_gate_f32_avx2(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i += QM_VEC) {
        __m256 gate = load(z + i, n - i);
        __m256 v = _mm256_mul_ps(load(y + i, n - i), gate);
        store(y + i, _mm256_div_ps(v, qm_one_plus_exp_neg_avx2(gate)), n - i);
    }
}

float qm_sum_exp_f32_avx2(const float *x, float max, size_t n)
{
    __m256 lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, m = _mm256_set1_ps(max);
    for (size_t i = 0, side = 0; i < n; i += QM_VEC, side ^= 1) {
        __m256 e = qm_exp_avx2(_mm256_sub_ps(load(x + i, n - i), m));
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
        __m128i half = _mm256_cvtps_ph(load(y + i, n - i), _MM_FROUND_TO_NEAREST_INT);
        store(y + i, _mm256_cvtph_ps(half), n - i);
    }
}
