#include "kernels/neon/vmath.h"
#include "kernels/scan_step.h"

enum { BLOCK = 16 }; /* channels: a cache line of every array, a state that stays in L1 */

/* As in the scalar file: the kinds differ in the order of their operations. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

/* One token of the four channels from i on. */
static inline void scan_vector(const qm_scan_f32_args *p, size_t t, size_t i, scan_kind kind)
{
    const bool skip_first = kind == FUSED || kind == MAMBA;
    float32x4_t u = vld1q_f32(p->u + t * p->ld_u + i);
    float32x4_t delta = vld1q_f32(p->delta + t * p->ld_delta + i);
    float32x4_t du = vmulq_f32(delta, u), skip = vmulq_f32(vld1q_f32(p->d + i), u);
    float32x4_t out = skip_first ? skip : vdupq_n_f32(0.0f);
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    for (size_t s = 0; s < p->d_state; s++) {
        float *at = p->h + s * p->ld_state + i;
        float32x4_t exponent = vmulq_f32(delta, vld1q_f32(p->a + s * p->ld_state + i));
        float32x4_t decay = kind == MAMBA ? qm_exp2_neon(exponent) : qm_exp_neon(exponent);
        float32x4_t h = vld1q_f32(at), bs = vdupq_n_f32(b[s]), cs = vdupq_n_f32(c[s]);
        float32x4_t in = kind == REF ? vmulq_f32(vmulq_f32(delta, bs), u) : vmulq_f32(bs, du);
        h = skip_first ? vfmaq_f32(in, decay, h) : vaddq_f32(vmulq_f32(decay, h), in);
        vst1q_f32(at, h);
        out = kind == REF ? vaddq_f32(out, vmulq_f32(h, cs)) : vfmaq_f32(out, h, cs);
    }
    vst1q_f32(p->y + t * p->ld_y + i, skip_first ? out : vaddq_f32(out, skip));
}

/* Every channel in whole vectors; the others are the scalar version's. */
static inline void scan(const qm_scan_f32_args *p, scan_kind kind, qm_scan_f32_fn *scalar)
{
    const size_t whole = p->n / QM_QUAD * QM_QUAD;
    for (size_t block = 0; block < whole; block += BLOCK) {
        const size_t end = whole - block < BLOCK ? whole : block + BLOCK;
        for (size_t t = 0; t < p->n_rows; t++)
            for (size_t i = block; i < end; i += QM_QUAD)
                scan_vector(p, t, i, kind);
    }
    if (whole == p->n) return;
    qm_scan_f32_args rest = *p;
    rest.n -= whole;
    rest.y += whole;
    rest.h += whole;
    rest.u += whole;
    rest.delta += whole;
    rest.a += whole;
    rest.d += whole;
    scalar(&rest);
}

void qm_scan_f32_neon(const qm_scan_f32_args *p) { scan(p, FUSED, qm_scan_f32_scalar); }

void qm_scan_ref_f32_neon(const qm_scan_f32_args *p) { scan(p, REF, qm_scan_ref_f32_scalar); }

void qm_scan_se_f32_neon(const qm_scan_f32_args *p) { scan(p, SE, qm_scan_se_f32_scalar); }

void qm_scan_mamba_f32_neon(const qm_scan_f32_args *p) { scan(p, MAMBA, qm_scan_mamba_f32_scalar); }

size_t qm_scan_step_i8_neon(const qm_scan_f32_args *p, float scale, bool away)
{
    return qm_scan_step_blocks(p, scale, away, qm_scan_ref_f32_neon, qm_quantize_even_i8_neon,
                               qm_quantize_away_i8_neon, qm_dequantize_i8_neon);
}
