/* INT8 products, whole, over ADD_PRODUCTS(sum, w, x, g): to the four lanes of sum the products of
 * four terms each of w and of the terms 4 g .. 4 g + 3 of x.  The file that includes this defines
 * it before. */
#ifndef QM_KERNELS_NEON_PRODUCTS_H
#define QM_KERNELS_NEON_PRODUCTS_H

#include "kernels/panels.h"

#include <string.h>

enum {
    STEP = 16, /* codes in a register */
    PARTS = 4, /* registers of a group */
    PANELS = 2,
    ROWS = 4, /* rows of x of a tile */
    SUMS = ROWS * PARTS
};

/* g: a number, as the instruction wants it */
#define ADD_GROUP(sum, p, at, xs, g, panels, rows)                                                 \
    QM_UNROLL for (size_t v = 0; v < (panels); v++) QM_UNROLL for (size_t q = 0; q < PARTS; q++)   \
    {                                                                                              \
        const int8x16_t ws =                                                                       \
            vld1q_s8((p)->w + v * (p)->w_apart + ((at) + 4 * (g)) * QM_PACK_OUTPUTS + q * STEP);   \
        QM_UNROLL for (size_t r = 0; r < (rows); r++)                                              \
        {                                                                                          \
            int32x4_t *to = &(sum)[(r * (panels) + v) * PARTS + q];                                \
            *to = ADD_PRODUCTS(*to, ws, (xs)[r], g);                                               \
        }                                                                                          \
    }

QM_TILE_INLINE void tile(const qm_panels *p, const size_t panels, const size_t rows)
{
    int32x4_t sum[SUMS];
    int8x16_t xs[ROWS];
    QM_UNROLL for (size_t i = 0; i < panels * rows * PARTS; i++) sum[i] = vdupq_n_s32(0);
    size_t at = 0;
    for (; p->k - at >= STEP; at += STEP) {
        QM_UNROLL for (size_t r = 0; r < rows; r++) xs[r] = vld1q_s8(p->x + r * p->ldx + at);
        ADD_GROUP(sum, p, at, xs, 0, panels, rows)
        ADD_GROUP(sum, p, at, xs, 1, panels, rows)
        ADD_GROUP(sum, p, at, xs, 2, panels, rows)
        ADD_GROUP(sum, p, at, xs, 3, panels, rows)
    }
    for (; at < p->k; at += QM_PACK_TERMS) {
        QM_UNROLL for (size_t r = 0; r < rows; r++)
        {
            int8_t padded[STEP] = {0};
            memcpy(padded, p->x + r * p->ldx + at,
                   p->k - at < QM_PACK_TERMS ? p->k - at : QM_PACK_TERMS);
            xs[r] = vld1q_s8(padded);
        }
        ADD_GROUP(sum, p, at, xs, 0, panels, rows)
    }
    QM_UNROLL for (size_t r = 0; r < rows; r++) QM_UNROLL for (size_t v = 0; v < panels; v++)
    {
        int32_t out[QM_PACK_OUTPUTS], *acc = p->acc + r * p->ldacc + v * p->acc_apart;
        const size_t wanted = v + 1 < panels ? QM_PACK_OUTPUTS : p->n;
        int32_t *to = wanted < QM_PACK_OUTPUTS ? out : acc;
        QM_UNROLL for (size_t q = 0; q < PARTS; q++)
            vst1q_s32(to + 4 * q, sum[(r * panels + v) * PARTS + q]);
        if (to == out) memcpy(acc, out, wanted * sizeof *acc);
    }
}

#endif
