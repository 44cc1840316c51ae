#include "kernels/avx2/vmath.h"
#include "kernels/scan_step.h"

enum {
    BLOCK = 16,      /* channels: a cache line of every array */
    MAX_COPIED = 64, /* rows of the state that are copied */
    AHEAD = 4        /* tokens: rows of u, delta and y are too far apart to be foreseen */
};

/* As in the scalar file: the kinds differ in the order of their operations. */
typedef enum scan_kind { FUSED, REF, SE, MAMBA } scan_kind;

/* The state and the rates of a block of channels, rows ld floats apart. */
typedef struct channels {
    float *h;
    const float *a;
    size_t ld;
} channels;

static inline void foresee(const float *x, size_t at)
{
    _mm_prefetch((const char *)((uintptr_t)x + at * sizeof *x), _MM_HINT_T0);
}

/* One token of one vector of n (1..8) channels, i being the first and the at-th of its own. */
static inline void scan_vector(const qm_scan_f32_args *p, const channels *own, size_t t, size_t i,
                               size_t at, size_t n, scan_kind kind)
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
        float *state = own->h + s * own->ld + at;
        __m256 exponent = _mm256_mul_ps(delta, LOAD(own->a + s * own->ld + at));
        __m256 decay = kind == MAMBA ? qm_exp2_avx2(exponent) : qm_exp_avx2(exponent);
        __m256 h = LOAD(state), bs = _mm256_broadcast_ss(b + s);
        __m256 in =
            kind == REF ? _mm256_mul_ps(_mm256_mul_ps(delta, bs), u) : _mm256_mul_ps(bs, du);
        h = skip_first ? _mm256_fmadd_ps(decay, h, in) : _mm256_add_ps(_mm256_mul_ps(decay, h), in);
        if (full)
            _mm256_storeu_ps(state, h);
        else
            _mm256_maskstore_ps(state, mask, h);
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

/* All tokens of the whole block from channel i on, the state in a copy: its own rows are often a
 * multiple of a large power of two apart, share a few sets of the first cache, and would leave it
 * between two tokens. */
static inline void scan_copied(const qm_scan_f32_args *p, size_t i, scan_kind kind)
{
    float h[MAX_COPIED * BLOCK] __attribute__((aligned(64)));
    float a[MAX_COPIED * BLOCK] __attribute__((aligned(64)));
    const channels own = {h, a, BLOCK};
    for (size_t s = 0; s < p->d_state; s++)
        for (size_t at = 0; at < BLOCK; at += QM_VEC) {
            const size_t from = s * p->ld_state + i + at, to = s * BLOCK + at;
            _mm256_store_ps(h + to, _mm256_loadu_ps(p->h + from));
            _mm256_store_ps(a + to, _mm256_loadu_ps(p->a + from));
        }
    for (size_t t = 0; t < p->n_rows; t++) {
        foresee(p->u, (t + AHEAD) * p->ld_u + i);
        foresee(p->delta, (t + AHEAD) * p->ld_delta + i);
        foresee(p->y, (t + AHEAD) * p->ld_y + i);
        for (size_t at = 0; at < BLOCK; at += QM_VEC)
            scan_vector(p, &own, t, i + at, at, QM_VEC, kind);
    }
    for (size_t s = 0; s < p->d_state; s++)
        for (size_t at = 0; at < BLOCK; at += QM_VEC)
            _mm256_storeu_ps(p->h + s * p->ld_state + i + at, _mm256_load_ps(h + s * BLOCK + at));
}

/* The vectors of the up to BLOCK channels from i on, the state where it lies. */
static inline void scan_in_place(const qm_scan_f32_args *p, size_t i, scan_kind kind)
{
    const channels own = {p->h + i, p->a + i, p->ld_state};
    const size_t n = p->n - i < BLOCK ? p->n - i : BLOCK;
    for (size_t t = 0; t < p->n_rows; t++)
        for (size_t at = 0; at < n; at += QM_VEC)
            scan_vector(p, &own, t, i + at, at, n - at < QM_VEC ? n - at : QM_VEC, kind);
}

static inline void scan(const qm_scan_f32_args *p, scan_kind kind)
{
    const bool copied = p->n_rows > 1 && p->d_state <= MAX_COPIED;
    for (size_t i = 0; i < p->n; i += BLOCK) {
        for (size_t s = 0; s < p->d_state; s++) { /* the next channels */
            foresee(p->h, s * p->ld_state + i + BLOCK);
            foresee(p->a, s * p->ld_state + i + BLOCK);
        }
        if (copied && p->n - i >= BLOCK)
            scan_copied(p, i, kind);
        else
            scan_in_place(p, i, kind);
    }
}

void qm_scan_f32_avx2(const qm_scan_f32_args *p) { scan(p, FUSED); }

void qm_scan_ref_f32_avx2(const qm_scan_f32_args *p) { scan(p, REF); }

void qm_scan_se_f32_avx2(const qm_scan_f32_args *p) { scan(p, SE); }

void qm_scan_mamba_f32_avx2(const qm_scan_f32_args *p) { scan(p, MAMBA); }

size_t qm_scan_step_i8_avx2(const qm_scan_f32_args *p, float scale, bool away)
{
    return qm_scan_step_blocks(p, scale, away, qm_scan_ref_f32_avx2, qm_quantize_even_i8_avx2,
                               qm_quantize_away_i8_avx2, qm_dequantize_i8_avx2);
}
