/* The decode step with an INT8 state, put together from an instruction set's own operators: what it
 * has before it has something better. */
#ifndef QM_KERNELS_SCAN_STEP_H
#define QM_KERNELS_SCAN_STEP_H

#include "kernels/kernels.h"

/* Some channels at a time, so that the state is still near when it is rounded. */
static inline size_t qm_scan_step_blocks(const qm_scan_f32_args *p, float scale, bool away,
                                         qm_scan_ref_f32_fn *scan, qm_quantize_even_i8_fn *to_even,
                                         qm_quantize_away_i8_fn *from_zero,
                                         qm_dequantize_i8_fn *dequantize)
{
    enum { BLOCK = 64 };
    size_t lost = 0;
    for (size_t i = 0; i < p->n; i += BLOCK) {
        qm_scan_f32_args part = *p;
        part.n = p->n - i < BLOCK ? p->n - i : BLOCK;
        part.y += i;
        part.h += i;
        part.u += i;
        part.delta += i;
        part.a += i;
        part.d += i;
        scan(&part);
        for (size_t s = 0; s < p->d_state; s++) {
            float *h = part.h + s * p->ld_state, hundredfold[BLOCK];
            int8_t codes[BLOCK];
            for (size_t c = 0; c < part.n && !away; c++)
                hundredfold[c] = h[c] * 100.0f;
            lost += away ? from_zero(codes, h, scale, part.n)
                         : to_even(codes, hundredfold, scale * 100.0f, part.n);
            dequantize(h, codes, scale, part.n);
        }
    }
    return lost;
}

#endif
