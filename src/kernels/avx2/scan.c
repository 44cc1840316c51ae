#include "kernels/avx2/vmath.h"

enum {
    QM_SCAN_BLOCK = 16,
    AHEAD = QM_SCAN_BLOCK * sizeof(float)
}; /* channels: a cache line of every array, a state that stays in L1 */

/* As in the scalar file: the kinds differ in the order of their operations. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

/* One token of one vector of n (1..8) channels. */
static inline void scan_vector(const qm_scan_f32_args *p, size_t t, size_t i, size_t n,
                               scan_kind kind)
{
    const bool skip_first = kind == FUSED || kind == MAMBA;
    const bool full = n == QM_VEC;
    const __m256i mask = qm_mask_avx2(n);
#define LOAD(address) (full ? _mm256_loadu_ps(address) : _mm256_maskload_ps(address, mask))
    __m256 u = LOAD(p->u + t * p->ld_u + i), delta = LOAD(p->delta + t * p->ld_delta + i);
    __m256 du = _mm256_mul_ps(delta, u), skip = _mm256_mul_ps(LOAD(p->d + i), u);
    __m256 out = skip_first ? skip : _mm256_setzero_ps();
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    for (size_t s = 0; s < p->d_state; s++) {
        float *at = p->h + s * p->ld_state + i;
        if (t == 0) { /* the next block: rows of the state are too far apart to be foreseen */
            _mm_prefetch((const char *)((uintptr_t)at + AHEAD), _MM_HINT_T0);
            _mm_prefetch((const char *)((uintptr_t)(p->a + s * p->ld_state + i) + AHEAD),
                         _MM_HINT_T0);
        }
        __m256 exponent = _mm256_mul_ps(delta, LOAD(p->a + s * p->ld_state + i));
        __m256 decay = kind == MAMBA ? qm_exp2_avx2(exponent) : qm_exp_avx2(exponent);
        __m256 h = LOAD(at), bs = _mm256_broadcast_ss(b + s);
        __m256 in =
            kind == REF ? _mm256_mul_ps(_mm256_mul_ps(delta, bs), u) : _mm256_mul_ps(bs, du);
        h = skip_first ? _mm256_fmadd_ps(decay, h, in) : _mm256_add_ps(_mm256_mul_ps(decay, h), in);
        if (full)
            _mm256_storeu_ps(at, h);
        else
            _mm256_maskstore_ps(at, mask, h);
        __m256 cs = _mm256_broadcast_ss(c + s);
        out = kind == REF ? _mm256_add_ps(out, _mm256_mul_ps(h, cs)) : _mm256_fmadd_ps(h, cs, out);
    }
    if (!skip_first) out = _mm256_add_ps(out, skip);
    if (full)
        _mm256_storeu_ps(p->y + t * p->ld_y + i, out);
    else
        _mm256_maskstore_ps(p->y + t * p->ld_y + i, mask, out);
#undef LOAD
}

static inline void scan(const qm_scan_f32_args *p, scan_kind kind)
{
    size_t block = 0;
    for (; p->n - block >= QM_SCAN_BLOCK; block += QM_SCAN_BLOCK)
        for (size_t t = 0; t < p->n_rows; t++)
            for (size_t i = 0; i < QM_SCAN_BLOCK; i += QM_VEC)
                scan_vector(p, t, block + i, QM_VEC, kind);
    for (size_t i = block; i < p->n; i += QM_VEC)
        for (size_t t = 0; t < p->n_rows; t++)
            scan_vector(p, t, i, p->n - i < QM_VEC ? p->n - i : QM_VEC, kind);
}

void qm_scan_f32_avx2(const qm_scan_f32_args *p) { scan(p, FUSED); }

void qm_scan_ref_f32_avx2(const qm_scan_f32_args *p) { scan(p, REF); }

void qm_scan_se_f32_avx2(const qm_scan_f32_args *p) { scan(p, SE); }

void qm_scan_mamba_f32_avx2(const qm_scan_f32_args *p) { scan(p, MAMBA); }
