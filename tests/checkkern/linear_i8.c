/* The judge of the INT8 products with what becomes of them. */
#include "judge.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static const float factors[][2] = {
    {1e-3f,  0.5f    },
    {0.37f,  0.011f  },
    {1.0f,   1.0f    },
    {-1e-4f, 0.3f    },
    {1e35f,  1e-35f  },
    {1e35f,  0.0f    },
    {1e-40f, 1e38f   },
    {NAN,    1.0f    },
    {0.5f,   INFINITY},
    {0.5f,   0.5f    }
};

/* One shape: codes and weights of a pair of patterns, factors by turns. */
typedef struct shape {
    size_t m, n, k;
    int p; /* counts the shapes */
} shape;

/* Operands of a shape, in slots 0, 1, 6 and 7. */
static qm_linear_i8_args operands(judge *j, shape s)
{
    const int pair = s.p % (N_CODE_PATTERNS * N_CODE_PATTERNS);
    const float *f = factors[(size_t)s.p % QM_COUNT(factors)];
    const size_t ldx = s.k + (size_t)s.p % 3, ldy = s.n + (size_t)s.p % 2;
    return (qm_linear_i8_args){
        .w = judge_codes(j, 0, qm_packed_bytes(s.n, s.k), (code_pattern)(pair / N_CODE_PATTERNS)),
        .x = judge_codes(j, 1, (s.m - 1) * ldx + s.k, (code_pattern)(pair % N_CODE_PATTERNS)),
        .ldx = ldx,
        .ldy = ldy,
        .m = s.m,
        .n = s.n,
        .k = s.k,
        .first = f[0],
        .second = f[1],
        .acc = judge_buffer(j, 6, s.m * QM_I8_TILE * sizeof(int32_t)),
        .scratch = judge_buffer(j, 7, QM_I8_SCRATCH)};
}

static bool scratch_kept(const judge *j, const qm_linear_i8_args *p)
{
    return judge_canaries(j, 6, p->m * QM_I8_TILE * sizeof(int32_t)) &&
           judge_canaries(j, 7, QM_I8_SCRATCH);
}

typedef bool compare(judge *j, shape s, const void *fn);

/* Every shape sees some pairs of patterns and factors, every pair and factor many shapes. */
static bool compare_shapes(judge *j, compare *same, const void *fn)
{
    static const size_t ms[] = {1, 2, 3, 5, 11, 12, 13, 15, 16, 17, 23, 24, 29, 31, 36, 65};
    static const size_t ns[] = {1, 4, 15, 16, 17, 31, 32, 33, 48, 64, 65, 130};
    static const size_t ks[] = {0, 1, 3, 4, 5, 15, 16, 17, 48, 63, 64, 65, 255, 768};
    int p = 0;
    for (size_t a = 0; a < QM_COUNT(ms); a++)
        for (size_t b = 0; b < QM_COUNT(ns); b++)
            for (size_t c = 0; c < QM_COUNT(ks); c++)
                for (int times = 0; times < (j->at_front ? 1 : 3); times++, p++)
                    if (!same(j, (shape){ms[a], ns[b], ks[c], p}, fn)) return false;
    return same(j, (shape){1037, 33, 20, 0}, fn) && same(j, (shape){520, 17, 5, 1}, fn) &&
           same(j, (shape){17, 5, QM_MAX_I8_TERMS, N_CODE_PATTERNS + 1}, fn);
}

static bool compare_codes(judge *j, shape s, const void *fn)
{
    qm_linear_i8_codes_fn *const *f = fn;
    const qm_linear_i8_args args = operands(j, s);
    const size_t n_y = (s.m - 1) * args.ldy + s.n;
    int8_t *want = judge_buffer(j, 2, n_y), *got = judge_buffer(j, 3, n_y);
    size_t *want_lost = judge_buffer(j, 4, s.m * sizeof(size_t));
    size_t *got_lost = judge_buffer(j, 5, s.m * sizeof(size_t));
    memset(want, 1, n_y); /* the gaps must stay as they are */
    memset(got, 1, n_y);
    for (size_t i = 0; i < s.m; i++)
        want_lost[i] = got_lost[i] = i;
    qm_linear_i8_codes_scalar(want, want_lost, &args);
    (*f)(got, got_lost, &args);
    return judge_same(j, want, got, 1, n_y, "m=%zu n=%zu k=%zu case=%d", s.m, s.n, s.k, s.p) &&
           judge_same(j, want_lost, got_lost, sizeof(int32_t), 2 * s.m,
                      "lost codes, m=%zu n=%zu k=%zu case=%d", s.m, s.n, s.k, s.p) &&
           judge_canaries(j, 3, n_y) && judge_canaries(j, 5, s.m * sizeof(size_t)) &&
           scratch_kept(j, &args);
}

/* The two operators that make numbers have one signature. */
static bool compare_numbers(judge *j, shape s, qm_linear_i8_f32_fn *scalar, const void *fn)
{
    qm_linear_i8_f32_fn *const *f = fn;
    const qm_linear_i8_args args = operands(j, s);
    const size_t n_y = (s.m - 1) * args.ldy + s.n;
    float *want = judge_buffer(j, 2, n_y * sizeof(float));
    float *got = judge_buffer(j, 3, n_y * sizeof(float));
    memset(want, 0, n_y * sizeof(float));
    memset(got, 0, n_y * sizeof(float));
    scalar(want, &args);
    (*f)(got, &args);
    return judge_equal(j, want, got, n_y, "m=%zu n=%zu k=%zu case=%d", s.m, s.n, s.k, s.p) &&
           judge_canaries(j, 3, n_y * sizeof(float)) && scratch_kept(j, &args);
}

static bool compare_f16(judge *j, shape s, const void *fn)
{
    return compare_numbers(j, s, qm_linear_i8_f16_scalar, fn);
}

static bool compare_f32(judge *j, shape s, const void *fn)
{
    return compare_numbers(j, s, qm_linear_i8_f32_scalar, fn);
}

/* in_proj of half the channels, dt_proj, out_proj and x_proj of a block of tokens. */
static const struct {
    const char *name;
    size_t m, n, k;
} shapes[] = {
    {"256 x 768 x 768",  256, 768, 768 },
    {"256 x 768 x 48",   256, 768, 48  },
    {"256 x 384 x 1536", 256, 384, 1536},
    {"128 x 80 x 1536",  128, 80,  1536},
    {"16 x 768 x 768",   16,  768, 768 },
    {"12 x 768 x 768",   12,  768, 768 },
    {"4 x 768 x 768",    4,   768, 768 }
};

#define BENCH(call)                                                                                \
    for (size_t i = 0; j->bench && i < QM_COUNT(shapes); i++) {                                    \
        const size_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k;                            \
        const qm_linear_i8_args args = operands(j, (shape){m, n, k, 0});                           \
        JUDGE_BENCH(j, shapes[i].name, (double)(m * n * k), "GMAC/s", call);                       \
    }

bool check_linear_i8_codes(judge *j, qm_linear_i8_codes_fn *fn)
{
    if (!compare_shapes(j, compare_codes, &fn)) return false;
    int8_t *y = judge_buffer(j, 2, 256 * 1536);
    size_t *lost = judge_buffer(j, 4, 256 * sizeof *lost);
    BENCH(fn(y, lost, &args))
    return true;
}

bool check_linear_i8_f16(judge *j, qm_linear_i8_f16_fn *fn)
{
    if (!compare_shapes(j, compare_f16, &fn)) return false;
    float *y = judge_buffer(j, 2, 256 * 1536 * sizeof *y);
    BENCH(fn(y, &args))
    return true;
}

bool check_linear_i8_f32(judge *j, qm_linear_i8_f32_fn *fn)
{
    return compare_shapes(j, compare_f32, &fn);
}
