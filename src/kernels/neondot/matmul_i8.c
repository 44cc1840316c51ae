#include "kernels/kernels.h"

#include <arm_neon.h>

static inline int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    return vdotq_s32(sum, a, b); /* exact */
}

#include "kernels/neon/products.h"

void qm_matvec_i8_neondot(int32_t *restrict acc, const int8_t *restrict w, const int8_t *restrict x,
                          size_t n, size_t k)
{
    tiles(acc, 0, w, x, 0, n, k, 1);
}

void qm_matmul_i8_neondot(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                          const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                          void *scratch)
{
    (void)scratch;
    matmul(acc, ldacc, w, x, ldx, m, n, k);
}
