#include "quant/weights.h"

#include "base/code.h"
#include "base/half.h"

#define INVERSE_127 (1.0f / 127.0f)

float qm_absmax_f16(const uint16_t *w, size_t n)
{
    uint16_t largest = 0; /* the bits of finite halves without their sign are in their order */
    for (size_t i = 0; i < n; i++) {
        uint16_t magnitude = w[i] & 0x7fffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return qm_f32_f16(largest);
}

float qm_weight_scale_f16(float absmax)
{
    float least = qm_round_f16(1e-5f);
    return qm_round_f16((absmax > least ? absmax : least) * INVERSE_127);
}

void qm_weight_codes_f16(int8_t *q, const uint16_t *w, size_t n, float scale)
{
    size_t saturated = 0;
    for (size_t i = 0; i < n; i++)
        q[i] = qm_code_even(qm_round_f16(qm_f32_f16(w[i]) / scale), &saturated);
}

float qm_quantize_weight_f32(int8_t *q, const float *w, size_t n)
{
    float largest = 1e-5f;
    size_t saturated = 0;
    for (size_t i = 0; i < n; i++)
        largest = fabsf(w[i]) > largest ? fabsf(w[i]) : largest;
    float scale = largest * INVERSE_127;
    for (size_t i = 0; i < n; i++)
        q[i] = qm_code_even(w[i] / scale, &saturated);
    return scale;
}

uint16_t qm_quantize_embedding_row(int8_t *q, const uint16_t *w, size_t n)
{
    float largest = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float x = qm_f32_f16(w[i]);
        largest = x > largest ? x : largest;
    }
    float scale = qm_round_f16(largest * INVERSE_127);
    if (!(scale > 0.0f)) scale = qm_weight_scale_f16(qm_absmax_f16(w, n));
    qm_weight_codes_f16(q, w, n, scale);
    return qm_f16_f32(scale);
}
