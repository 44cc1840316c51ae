#include "kernels/avx512vnni/vmath.h"

/* As in the scalar file: the kinds differ in the order of their operations. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

/* One token of the channels of one vector. */
static inline void scan_vector(const qm_scan_f32_args *p, size_t t, size_t i, __mmask16 mask,
                               scan_kind kind)
{
    const bool skip_first = kind == FUSED || kind == MAMBA;
    __m512 u = _mm512_maskz_loadu_ps(mask, p->u + t * p->ld_u + i);
    __m512 delta = _mm512_maskz_loadu_ps(mask, p->delta + t * p->ld_delta + i);
    __m512 du = _mm512_mul_ps(delta, u);
    __m512 skip = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p->d + i), u);
    __m512 out = skip_first ? skip : _mm512_setzero_ps();
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    for (size_t s = 0; s < p->d_state; s++) {
        float *at = p->h + s * p->ld_state + i;
        const float *a = p->a + s * p->ld_state + i;
        if (t == 0) { /* the next channels: rows of the state are too far apart to be foreseen */
            _mm_prefetch((const char *)((uintptr_t)at + QM_WIDE * sizeof(float)), _MM_HINT_T0);
            _mm_prefetch((const char *)((uintptr_t)a + QM_WIDE * sizeof(float)), _MM_HINT_T0);
        }
        __m512 exponent = _mm512_mul_ps(delta, _mm512_maskz_loadu_ps(mask, a));
        __m512 decay = kind == MAMBA ? qm_exp2_avx512(exponent) : qm_exp_avx512(exponent);
        __m512 h = _mm512_maskz_loadu_ps(mask, at), bs = _mm512_set1_ps(b[s]);
        __m512 in =
            kind == REF ? _mm512_mul_ps(_mm512_mul_ps(delta, bs), u) : _mm512_mul_ps(bs, du);
        h = skip_first ? _mm512_fmadd_ps(decay, h, in) : _mm512_add_ps(_mm512_mul_ps(decay, h), in);
        _mm512_mask_storeu_ps(at, mask, h);
        __m512 cs = _mm512_set1_ps(c[s]);
        out = kind == REF ? _mm512_add_ps(out, _mm512_mul_ps(h, cs)) : _mm512_fmadd_ps(h, cs, out);
    }
    _mm512_mask_storeu_ps(p->y + t * p->ld_y + i, mask,
                          skip_first ? out : _mm512_add_ps(out, skip));
}

static inline void scan(const qm_scan_f32_args *p, scan_kind kind)
{
    for (size_t i = 0; i < p->n; i += QM_WIDE) {
        __mmask16 mask = qm_mask_avx512(p->n - i);
        for (size_t t = 0; t < p->n_rows; t++)
            scan_vector(p, t, i, mask, kind);
    }
}

void qm_scan_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, FUSED); }

void qm_scan_ref_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, REF); }

void qm_scan_se_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, SE); }

void qm_scan_mamba_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, MAMBA); }
