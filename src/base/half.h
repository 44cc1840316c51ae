/* IEEE binary16 and bfloat16, to and from float, round to nearest even.  Pure integer code: the
 * same on every machine, and what the vector versions must equal.  NaNs stay NaNs (quiet). */
#ifndef QM_BASE_HALF_H
#define QM_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t qm_bits_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float qm_f32_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float qm_f32_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
    if (exponent == 31u)
        return qm_f32_bits(sign | 0x7f800000u | (fraction << 13) | (fraction ? 0x400000u : 0u));
    if (exponent == 0u) { /* zero or subnormal: fraction * 2^-24 is exact in float */
        float magnitude = (float)fraction * 0x1p-24f;
        return qm_f32_bits(sign | qm_bits_f32(magnitude));
    }
    return qm_f32_bits(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

static inline uint16_t qm_f16_f32(float x)
{
    uint32_t bits = qm_bits_f32(x), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) /* NaN: keep the top of the payload, make it quiet */
        return (uint16_t)(sign | 0x7e00u | ((rest >> 13) & 0x3ffu));
    if (rest >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (rest <
        0x38800000u) { /* below 2^-14: adding 0.5 leaves the rounded fraction at the bottom */
        float shifted = qm_f32_bits(rest) + 0.5f;
        return (uint16_t)(sign | (qm_bits_f32(shifted) & 0x7ffu));
    }
    uint32_t odd = (rest >> 13) & 1u;
    return (uint16_t)(sign | ((rest - 0x38000000u + 0xfffu + odd) >> 13));
}

/* x rounded to half and widened again. */
static inline float qm_round_f16(float x) { return qm_f32_f16(qm_f16_f32(x)); }

static inline float qm_f32_bf16(uint16_t h) { return qm_f32_bits((uint32_t)h << 16); }

#endif
