#include "kernels/kernels.h"

#include <arm_neon.h>

/* A sum of two products may be 32768, one too many for 16 bits: pairs are added in 32. */
static inline int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(sum, vmull_high_s8(a, b));
}

#include "kernels/neon/products.h"

void qm_matvec_i8_neon(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                       size_t n, size_t k)
{
    tiles(acc, 0, w, x, 0, n, k, 1);
}

void qm_matmul_i8_neon(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                       const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                       void *scratch)
{
    (void)scratch;
    matmul(acc, ldacc, w, x, ldx, m, n, k);
}
