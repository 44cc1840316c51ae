/* The products with what follows them, put together from an instruction set's own operators: what
 * it has before it has something better. */
#ifndef QM_KERNELS_LINEAR_I8_H
#define QM_KERNELS_LINEAR_I8_H

#include "kernels/kernels.h"
#include "op/rescale.h"

/* The sums of up to QM_I8_TILE outputs j of all rows, then convert for each row i. */
#define QM_LINEAR_I8_TILES(p, product, convert)                                                    \
    for (size_t j = 0, width; j < (p)->n; j += width) {                                            \
        width = (p)->n - j < QM_I8_TILE ? (p)->n - j : QM_I8_TILE;                                 \
        product((p)->acc, width, (p)->w + qm_packed_at(j, 0, (p)->k), (p)->x, (p)->ldx, (p)->m,    \
                width, (p)->k, (p)->scratch);                                                      \
        for (size_t i = 0; i < (p)->m; i++) {                                                      \
            const int32_t *acc = (p)->acc + i * width;                                             \
            const size_t at = i * (p)->ldy + j;                                                    \
            convert;                                                                               \
        }                                                                                          \
    }

/* The three operators, qm_linear_i8_*_NAME, out of a matmul_i8 and the two conversions. */
#define QM_LINEAR_I8(linkage, name, product, requantize, rescale)                                  \
    linkage void qm_linear_i8_codes_##name(int8_t *restrict y, size_t *restrict lost,              \
                                           const qm_linear_i8_args *p){QM_LINEAR_I8_TILES(         \
        p, product, lost[i] += requantize(y + at, acc, p->first, p->second, width))} linkage void  \
        qm_linear_i8_f16_##name(float *restrict y, const qm_linear_i8_args *p){QM_LINEAR_I8_TILES( \
            p, product, rescale(y + at, acc, p->first, p->second, width))} linkage void            \
            qm_linear_i8_f32_##name(float *restrict y, const qm_linear_i8_args *p)                 \
    {                                                                                              \
        QM_LINEAR_I8_TILES(p, product,                                                             \
                           for (size_t o = 0; o < width; o++) y[at + o] =                          \
                               p->second * (p->first * (float)acc[o]))                             \
    }

#endif
