#include "base/fmath.h"
#include "kernels/kernels.h"

void qm_scan_f32_scalar(const qm_scan_f32_args *p)
{
    for (size_t t = 0; t < p->n_rows; t++) {
        const float *u = p->u + t * p->ld_u, *delta = p->delta + t * p->ld_delta;
        const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
        for (size_t i = 0; i < p->n; i++) {
            float du = delta[i] * u[i], out = p->d[i] * u[i];
            for (size_t s = 0; s < p->d_state; s++) {
                float *h = p->h + s * p->ld_state + i;
                *h = fmaf(qm_expf(delta[i] * p->a[s * p->ld_state + i]), *h, b[s] * du);
                out = fmaf(*h, c[s], out);
            }
            p->y[t * p->ld_y + i] = out;
        }
    }
}

void qm_scan_ref_f32_scalar(const qm_scan_f32_args *p)
{
    for (size_t t = 0; t < p->n_rows; t++) {
        const float *u = p->u + t * p->ld_u, *delta = p->delta + t * p->ld_delta;
        const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
        for (size_t i = 0; i < p->n; i++) {
            float out = 0.0f;
            for (size_t s = 0; s < p->d_state; s++) {
                float *h = p->h + s * p->ld_state + i;
                float decay = qm_expf(delta[i] * p->a[s * p->ld_state + i]);
                *h = decay * *h + (delta[i] * b[s]) * u[i];
                out += *h * c[s];
            }
            p->y[t * p->ld_y + i] = out + p->d[i] * u[i];
        }
    }
}
