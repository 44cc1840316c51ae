/* Eight floats at a time: base/fmath.h operation by operation. */
#ifndef QM_KERNELS_AVX2_VMATH_H
#define QM_KERNELS_AVX2_VMATH_H

#include "base/fmath.h"
#include "kernels/kernels.h"

#include <immintrin.h>

enum { QM_VEC = 8 }; /* floats in a register */

/* The first n (0..8) lanes, for masked loads and stores. */
static inline __m256i qm_mask_avx2(size_t n)
{
    __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), index);
}

/* The last n % 8 elements go through the same code with masked loads and stores: a full mask costs
 * a little, so whole vectors take the plain instructions. */
static inline __m256 qm_load_avx2(const float *x, size_t left)
{
    return left >= QM_VEC ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, qm_mask_avx2(left));
}

static inline void qm_store_avx2(float *y, __m256 v, size_t left)
{
    if (left >= QM_VEC)
        _mm256_storeu_ps(y, v);
    else
        _mm256_maskstore_ps(y, qm_mask_avx2(left), v);
}

/* Lanes lo = 0..7 and hi = 8..15 of the reduction, halved. */
static inline float qm_halve_avx2(__m256 lo, __m256 hi)
{
    __m256 eight = _mm256_add_ps(lo, hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* e^r 2^n, |r| <= ln(2) / 2.  A NaN in r is a NaN in y, and no power of two changes that. */
static inline __m256 qm_exp_core_avx2(__m256 r, __m256i n)
{
    __m256 p = _mm256_set1_ps(QM_EXP_C6);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(QM_EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(QM_EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(QM_EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(QM_EXP_C2));
    __m256 y = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r), _mm256_set1_ps(1.0f));
    __m256i half = _mm256_srai_epi32(n, 1), bias = _mm256_set1_epi32(127);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(n, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(y, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

/* The scalar comparisons are false for NaN and keep it; so does this operand order. */
static inline __m256 qm_clamp_avx2(__m256 x, float low, float high)
{
    return _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x));
}

static inline __m256 qm_exp_avx2(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(QM_ROUND_MAGIC);
    __m256 c = qm_clamp_avx2(x, QM_EXP_LOW, QM_EXP_HIGH);
    __m256 shifted = _mm256_fmadd_ps(c, _mm256_set1_ps(QM_LOG2E), magic);
    __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(magic));
    __m256 nf = _mm256_sub_ps(shifted, magic);
    __m256 r = _mm256_fnmadd_ps(nf, _mm256_set1_ps(QM_LN2_HI), c);
    return qm_exp_core_avx2(_mm256_fnmadd_ps(nf, _mm256_set1_ps(QM_LN2_LO), r), n);
}

static inline __m256 qm_exp2_avx2(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(QM_ROUND_MAGIC);
    __m256 c = qm_clamp_avx2(x, QM_EXP2_LOW, QM_EXP2_HIGH), shifted = _mm256_add_ps(c, magic);
    __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(magic));
    __m256 r = _mm256_sub_ps(c, _mm256_sub_ps(shifted, magic));
    return qm_exp_core_avx2(_mm256_mul_ps(r, _mm256_set1_ps(QM_LN2)), n);
}

static inline __m256 qm_log_core_avx2(__m256 u, __m256 k_extra, __m256 correction)
{
    const __m256i root = _mm256_set1_epi32((int)QM_SQRT_HALF_BITS);
    __m256i bits = _mm256_sub_epi32(_mm256_castps_si256(u), root);
    __m256 k = _mm256_add_ps(_mm256_cvtepi32_ps(_mm256_srai_epi32(bits, 23)), k_extra);
    __m256i m = _mm256_add_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffff)), root);
    __m256 f = _mm256_sub_ps(_mm256_castsi256_ps(m), _mm256_set1_ps(1.0f));
    __m256 p = _mm256_set1_ps(QM_LOG_C10);
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C9));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C8));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C7));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C6));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C5));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C4));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(QM_LOG_C3));
    __m256 f2 = _mm256_mul_ps(f, f);
    __m256 tail = _mm256_fmadd_ps(k, _mm256_set1_ps(QM_LN2_LO), correction);
    tail = _mm256_fmadd_ps(_mm256_mul_ps(f2, f), p, tail);
    tail = _mm256_fmadd_ps(f2, _mm256_set1_ps(-0.5f), tail);
    return _mm256_fmadd_ps(k, _mm256_set1_ps(QM_LN2_HI), _mm256_add_ps(f, tail));
}

/* log1p of x >= 0, finite or NaN: all that softplus needs, exp(x) being below 5e8 there. */
static inline __m256 qm_log1p_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 u = _mm256_add_ps(one, x);
    __m256 small = _mm256_sub_ps(x, _mm256_sub_ps(u, one));
    __m256 large = _mm256_sub_ps(one, _mm256_sub_ps(u, x));
    __m256 c = _mm256_blendv_ps(large, small, _mm256_cmp_ps(x, one, _CMP_LT_OQ));
    return qm_log_core_avx2(u, _mm256_setzero_ps(), _mm256_div_ps(c, u));
}

/* x where it is above the threshold or NaN, else inner. */
static inline __m256 qm_softplus_select_avx2(__m256 x, __m256 inner)
{
    __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(QM_SOFTPLUS_THRESHOLD), _CMP_LE_OQ);
    return _mm256_blendv_ps(x, inner, low);
}

static inline __m256 qm_softplus_avx2(__m256 x)
{
    /* Above the threshold the result is thrown away; keep exp finite there. */
    __m256 c = _mm256_min_ps(_mm256_set1_ps(QM_SOFTPLUS_THRESHOLD), x);
    return qm_softplus_select_avx2(x, qm_log1p_avx2(qm_exp_avx2(c)));
}

static inline __m256 qm_softplus_log_avx2(__m256 x)
{
    __m256 c = _mm256_min_ps(_mm256_set1_ps(QM_SOFTPLUS_THRESHOLD), x);
    __m256 u = _mm256_add_ps(qm_exp_avx2(c), _mm256_set1_ps(1.0f));
    __m256 zero = _mm256_setzero_ps();
    return qm_softplus_select_avx2(x, qm_log_core_avx2(u, zero, zero));
}

/* 1 + exp(-x), the denominator of SiLU and of the gate. */
static inline __m256 qm_one_plus_exp_neg_avx2(__m256 x)
{
    __m256 negative = _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
    return _mm256_add_ps(_mm256_set1_ps(1.0f), qm_exp_avx2(negative));
}

#endif
