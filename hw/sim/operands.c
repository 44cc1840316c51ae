#include "sim/operands.h"

#include "base/half.h"

#include <math.h>

static uint32_t mix(uint32_t x) /* a bijection whose low bits depend on all */
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

static uint32_t one(uint32_t seed)
{
    static const uint32_t specials[] = {
        0x00000000, 0x00000001, 0x00000002, 0x007fffff, 0x00800000, 0x00800001,
        0x00ffffff, 0x01000000, 0x33800000, 0x34000000, 0x3effffff, 0x3f000000,
        0x3f000001, 0x3f7fffff, 0x3f800000, 0x3f800001, 0x40000000, 0x42fe0000,
        0x42ff0000, 0x43000000, 0x43008000, 0x4b000000, 0x4b7fffff, 0x4b800000,
        0x7e800000, 0x7f000000, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x7f800001,
    };
    const uint32_t bits = mix(seed ^ 0x5bd1e995u), sign = bits & 0x80000000u;
    switch (mix(seed) % 8) {
    case 0:
        return sign | specials[bits % (sizeof specials / sizeof specials[0])];
    case 1: /* subnormal, down to few bits */
        return sign | (bits & 0x7fffffu) >> (mix(seed + 1) % 23);
    case 2: /* a power of two and its neighbours */
        return sign | (((bits & 0xff) << 23) + mix(seed + 2) % 5 - 2) % 0x7f800000u;
    case 3: /* k / 2: ties of codes, and near them */
        return qm_bits_f32((float)((int32_t)(bits % 1025) - 512) / 2.0f) +
               (mix(seed + 3) % 3 - 1) * (bits >> 31);
    case 4: /* few fraction bits: exact products, exact ties */
        return bits & 0xfff80000u;
    case 5:
    case 6: /* near 1, where sums cancel */
        return sign | (0x3f000000u + (bits & 0x01ffffffu));
    default:
        return bits;
    }
}

void sim_operands(unsigned int i, unsigned int *a, unsigned int *b, unsigned int *c)
{
    *a = one(3 * i);
    *b = one(3 * i + 1);
    *c = one(3 * i + 2);
    const uint32_t r = mix(i ^ 0xabcdef01u);
    if (r % 8 == 1) { /* an exact product: what c adds below it decides */
        *a &= 0xfff80000u;
        *b &= 0xfff80000u;
    }
    const float product = qm_f32_bits(*a) * qm_f32_bits(*b);
    if (r % 64 == 3) { /* zeros of any sign */
        *a &= 0x80000000u;
        *c &= 0x80000000u;
        if (r >> 31) *b &= 0x80000000u;
    } else if (r % 4 == 0) /* the product, or next to it, with the other sign */
        *c = (qm_bits_f32(product) ^ 0x80000000u) + (r >> 8) % 5 - 2;
    else if (r % 4 == 1) /* far above or below the product, to the edge of what is seen */
        *c = qm_bits_f32(ldexpf(qm_f32_bits(*c & 0x807fffffu) + copysignf(1, qm_f32_bits(*c)),
                                ilogbf(product == 0 || !isfinite(product) ? 1 : product) +
                                    (int)((r >> 8) % 110) - 55));
}
