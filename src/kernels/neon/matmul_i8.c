#include <arm_neon.h>

/* A sum of two products may be 32768, one too many for 16 bits: pairs are added in 32. */
static inline int32x4_t add_products(int32x4_t sum, int8x16_t w, int8x16_t x)
{
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)));
    int32x4_t high = vpaddlq_s16(vmull_high_s8(w, x));
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#define ADD_PRODUCTS(sum, w, x, g)                                                                 \
    add_products(sum, w, vreinterpretq_s8_s32(vdupq_laneq_s32(vreinterpretq_s32_s8(x), g)))

#include "kernels/neon/products.h"

QM_MATVEC_I8(qm_matvec_i8_neon, tile, qm_start_at_zero, PANELS)
QM_MATMUL_I8(qm_matmul_i8_neon, tile, qm_start_at_zero, ROWS, 1)
