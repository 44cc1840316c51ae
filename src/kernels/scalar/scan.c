#include "op/scan.h"
#include "kernels/kernels.h"
#include "op/dequantize.h"
#include "op/quantize.h"

/* The four scans differ in the order of their operations: one loop, the kind a constant. */
static inline void scan_channel(const qm_scan_f32_args *p, size_t t, size_t i, qm_op_scan kind)
{
    const float u = p->u[t * p->ld_u + i], delta = p->delta[t * p->ld_delta + i];
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    float out = qm_op_scan_begin(kind, p->d[i], u);
    for (size_t s = 0; s < p->d_state; s++)
        out = qm_op_scan_step(kind, out, &p->h[s * p->ld_state + i], u, delta,
                              p->a[s * p->ld_state + i], b[s], c[s]);
    p->y[t * p->ld_y + i] = qm_op_scan_end(kind, out, p->d[i], u);
}

#define QM_SCAN(name, kind)                                                                        \
    void name(const qm_scan_f32_args *p)                                                           \
    {                                                                                              \
        for (size_t t = 0; t < p->n_rows; t++)                                                     \
            for (size_t i = 0; i < p->n; i++)                                                      \
                scan_channel(p, t, i, kind);                                                       \
    }
QM_SCAN(qm_scan_f32_scalar, QM_OP_SCAN_FUSED)
QM_SCAN(qm_scan_ref_f32_scalar, QM_OP_SCAN_REF)
QM_SCAN(qm_scan_se_f32_scalar, QM_OP_SCAN_SE)
QM_SCAN(qm_scan_mamba_f32_scalar, QM_OP_SCAN_MAMBA)
#undef QM_SCAN

size_t qm_scan_step_i8_scalar(const qm_scan_f32_args *p, float scale, bool away)
{
    size_t lost = 0;
    for (size_t i = 0; i < p->n; i++)
        scan_channel(p, 0, i, QM_OP_SCAN_REF);
    for (size_t s = 0; s < p->d_state; s++)
        for (size_t i = 0; i < p->n; i++) {
            float *h = &p->h[s * p->ld_state + i];
            const int8_t code = away ? qm_op_quantize_away(*h, scale, &lost)
                                     : qm_op_quantize_even(*h * 100.0f, scale * 100.0f, &lost);
            *h = qm_op_dequantize(scale, code);
        }
    return lost;
}
