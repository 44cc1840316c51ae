#include "base/fmath.h"
#include "kernels/kernels.h"

/* The four scans differ in the order of their operations: one loop, the kind a constant. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

static inline void scan_channel(const qm_scan_f32_args *p, size_t t, size_t i, scan_kind kind)
{
    const float u = p->u[t * p->ld_u + i], delta = p->delta[t * p->ld_delta + i];
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    const bool skip_first = kind == FUSED || kind == MAMBA;
    const float du = delta * u, skip = p->d[i] * u;
    float out = skip_first ? skip : 0.0f;
    for (size_t s = 0; s < p->d_state; s++) {
        float *h = p->h + s * p->ld_state + i;
        const float at = delta * p->a[s * p->ld_state + i];
        const float decay = kind == MAMBA ? qm_exp2f(at) : qm_expf(at);
        const float in = kind == REF ? (delta * b[s]) * u : b[s] * du;
        *h = skip_first ? fmaf(decay, *h, in) : decay * *h + in;
        out = kind == REF ? out + *h * c[s] : fmaf(*h, c[s], out);
    }
    p->y[t * p->ld_y + i] = skip_first ? out : out + skip;
}

#define QM_SCAN(name, kind)                                                                        \
    void name(const qm_scan_f32_args *p)                                                           \
    {                                                                                              \
        for (size_t t = 0; t < p->n_rows; t++)                                                     \
            for (size_t i = 0; i < p->n; i++)                                                      \
                scan_channel(p, t, i, kind);                                                       \
    }
QM_SCAN(qm_scan_f32_scalar, FUSED)
QM_SCAN(qm_scan_ref_f32_scalar, REF)
QM_SCAN(qm_scan_se_f32_scalar, SE)
QM_SCAN(qm_scan_mamba_f32_scalar, MAMBA)
#undef QM_SCAN
