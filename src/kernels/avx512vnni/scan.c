#include "kernels/avx512vnni/codes.h"

/* As in the scalar file: the kinds differ in the order of their operations. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

enum {
    MAX_COPIED = 64, /* rows of the state that are copied */
    AHEAD = 4        /* tokens: rows of u, delta and y are too far apart to be foreseen */
};

/* The state and the rates of the channels of one vector, rows ld floats apart; a copy has all
 * sixteen channels, whatever the mask. */
typedef struct channels {
    float *h;
    const float *a;
    size_t ld;
    __mmask16 mask;
} channels;

static inline void foresee(const float *x, size_t at)
{
    _mm_prefetch((const char *)((uintptr_t)x + at * sizeof *x), _MM_HINT_T0);
}

/* One token. */
static inline void scan_vector(const qm_scan_f32_args *p, const channels *own, bool copied,
                               size_t t, size_t i, scan_kind kind)
{
    const bool skip_first = kind == FUSED || kind == MAMBA;
    const __mmask16 mask = own->mask;
    __m512 u = _mm512_maskz_loadu_ps(mask, p->u + t * p->ld_u + i);
    __m512 delta = _mm512_maskz_loadu_ps(mask, p->delta + t * p->ld_delta + i);
    __m512 du = _mm512_mul_ps(delta, u);
    __m512 skip = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p->d + i), u);
    __m512 out = skip_first ? skip : _mm512_setzero_ps();
    const float *b = p->b + t * p->ld_bc, *c = p->c + t * p->ld_bc;
    for (size_t s = 0; s < p->d_state; s++) {
        float *at = own->h + s * own->ld;
        const float *rate = own->a + s * own->ld;
        __m512 a = copied ? _mm512_load_ps(rate) : _mm512_maskz_loadu_ps(mask, rate);
        __m512 exponent = _mm512_mul_ps(delta, a);
        __m512 decay = kind == MAMBA ? qm_exp2_avx512(exponent) : qm_exp_avx512(exponent);
        __m512 h = copied ? _mm512_load_ps(at) : _mm512_maskz_loadu_ps(mask, at);
        __m512 bs = _mm512_set1_ps(b[s]), cs = _mm512_set1_ps(c[s]);
        __m512 in =
            kind == REF ? _mm512_mul_ps(_mm512_mul_ps(delta, bs), u) : _mm512_mul_ps(bs, du);
        h = skip_first ? _mm512_fmadd_ps(decay, h, in) : _mm512_add_ps(_mm512_mul_ps(decay, h), in);
        if (copied)
            _mm512_store_ps(at, h);
        else
            _mm512_mask_storeu_ps(at, mask, h);
        out = kind == REF ? _mm512_add_ps(out, _mm512_mul_ps(h, cs)) : _mm512_fmadd_ps(h, cs, out);
    }
    _mm512_mask_storeu_ps(p->y + t * p->ld_y + i, mask,
                          skip_first ? out : _mm512_add_ps(out, skip));
}

/* All tokens of one vector, the state in a copy: its own rows are often a multiple of a large power
 * of two apart, share a few sets of the first cache, and would leave it between two tokens. */
static inline void scan_copied(const qm_scan_f32_args *p, size_t i, scan_kind kind)
{
    float h[MAX_COPIED * QM_WIDE] __attribute__((aligned(64)));
    float a[MAX_COPIED * QM_WIDE] __attribute__((aligned(64)));
    const channels own = {h, a, QM_WIDE, qm_mask_avx512(p->n - i)};
    for (size_t s = 0; s < p->d_state; s++) {
        const size_t from = s * p->ld_state + i, to = s * QM_WIDE;
        _mm512_store_ps(h + to, _mm512_maskz_loadu_ps(own.mask, p->h + from));
        _mm512_store_ps(a + to, _mm512_maskz_loadu_ps(own.mask, p->a + from));
    }
    for (size_t t = 0; t < p->n_rows; t++) {
        foresee(p->u, (t + AHEAD) * p->ld_u + i);
        foresee(p->delta, (t + AHEAD) * p->ld_delta + i);
        foresee(p->y, (t + AHEAD) * p->ld_y + i);
        scan_vector(p, &own, true, t, i, kind);
    }
    for (size_t s = 0; s < p->d_state; s++)
        _mm512_mask_storeu_ps(p->h + s * p->ld_state + i, own.mask,
                              _mm512_load_ps(h + s * QM_WIDE));
}

static inline void scan(const qm_scan_f32_args *p, scan_kind kind)
{
    const bool copied = p->n_rows > 1 && p->d_state <= MAX_COPIED;
    for (size_t i = 0; i < p->n; i += QM_WIDE) {
        for (size_t s = 0; s < p->d_state; s++) { /* the next channels */
            foresee(p->h, s * p->ld_state + i + QM_WIDE);
            foresee(p->a, s * p->ld_state + i + QM_WIDE);
        }
        const channels own = {p->h + i, p->a + i, p->ld_state, qm_mask_avx512(p->n - i)};
        if (copied)
            scan_copied(p, i, kind);
        else
            for (size_t t = 0; t < p->n_rows; t++)
                scan_vector(p, &own, false, t, i, kind);
    }
}

void qm_scan_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, FUSED); }

void qm_scan_ref_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, REF); }

void qm_scan_se_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, SE); }

void qm_scan_mamba_f32_avx512vnni(const qm_scan_f32_args *p) { scan(p, MAMBA); }

/* The state of one step onto its grid. */
static inline __m512 snap(__m512 h, __m512 scale, __m512 divisor, bool away, __mmask16 *lost)
{
    __m512i whole;
    if (away)
        whole = qm_away_avx512(_mm512_div_ps(h, divisor), lost);
    else
        whole = qm_even_avx512(_mm512_div_ps(_mm512_mul_ps(h, _mm512_set1_ps(100.0f)), divisor),
                               false, lost);
    whole = _mm512_max_epi32(whole, _mm512_set1_epi32(INT8_MIN));
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(whole));
}

/* REF and the rounding in one visit.  A step comes to a state that has left every cache: its rows
 * are asked for some vectors ahead. */
static inline size_t step(const qm_scan_f32_args *p, float grid, bool away)
{
    enum { VECTORS_AHEAD = 3 * QM_WIDE };
    const __m512 scale = _mm512_set1_ps(grid);
    const __m512 divisor = _mm512_set1_ps(away ? grid : grid * 100.0f);
    size_t lost = 0;
    for (size_t i = 0; i < p->n; i += QM_WIDE) {
        const __mmask16 mask = qm_mask_avx512(p->n - i);
        const __m512 u = _mm512_maskz_loadu_ps(mask, p->u + i);
        const __m512 delta = _mm512_maskz_loadu_ps(mask, p->delta + i);
        __m512 out = _mm512_setzero_ps();
        __m512i n_lost = _mm512_setzero_si512();
        for (size_t s = 0; s < p->d_state; s++) {
            const size_t at = s * p->ld_state + i;
            foresee(p->h, at + VECTORS_AHEAD);
            foresee(p->a, at + VECTORS_AHEAD);
            __m512 decay =
                qm_exp_avx512(_mm512_mul_ps(delta, _mm512_maskz_loadu_ps(mask, p->a + at)));
            __m512 in = _mm512_mul_ps(_mm512_mul_ps(delta, _mm512_set1_ps(p->b[s])), u);
            __m512 h = _mm512_maskz_loadu_ps(mask, p->h + at);
            h = _mm512_add_ps(_mm512_mul_ps(decay, h), in);
            out = _mm512_add_ps(out, _mm512_mul_ps(h, _mm512_set1_ps(p->c[s])));
            __mmask16 outside;
            _mm512_mask_storeu_ps(p->h + at, mask, snap(h, scale, divisor, away, &outside));
            n_lost = _mm512_mask_add_epi32(n_lost, outside, n_lost, _mm512_set1_epi32(1));
        }
        lost += (size_t)_mm512_mask_reduce_add_epi32(mask, n_lost);
        __m512 skip = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p->d + i), u);
        _mm512_mask_storeu_ps(p->y + i, mask, _mm512_add_ps(out, skip));
    }
    return lost;
}

size_t qm_scan_step_i8_avx512vnni(const qm_scan_f32_args *p, float scale, bool away)
{
    return away ? step(p, scale, true) : step(p, scale, false);
}
