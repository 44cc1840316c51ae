/* The judge of the INT8 operators: products, conversions between codes, sums and floats. */
#include "judge.h"

#include "base/half.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const size_t sizes[] = {0,  1,  7,  8,  9,  15,  16,  17,   31,
                               32, 33, 63, 64, 65, 129, 255, 1000, 1536};

/* ---- products -------------------------------------------------------------------------------- */

/* Packs as scalar does, and scalar as qm_packed_at says; the gaps between the rows are not read. */
static bool compare_pack(judge *j, qm_pack_i8_fn *fn, size_t n, size_t k, size_t output_stride,
                         size_t term_stride)
{
    const size_t panel = qm_panel_bytes(k);
    const size_t n_in = n && k ? (n - 1) * output_stride + (k - 1) * term_stride + 1 : 0;
    const size_t bytes = qm_packed_bytes(n, k);
    const int8_t *in = judge_codes(j, 0, n_in, CODES);
    int8_t *want = judge_buffer(j, 1, bytes), *got = judge_buffer(j, 2, bytes);
    int8_t *row = judge_buffer(j, 3, k);
    qm_pack_i8_scalar(want, panel, in, n, k, output_stride, term_stride);
    fn(got, panel, in, n, k, output_stride, term_stride);
    for (size_t o = 0; o < n; o++) {
        qm_unpack_row_i8(row, got, o, k);
        for (size_t i = 0; i < k; i++) {
            const int8_t code = in[o * output_stride + i * term_stride];
            if (got[qm_packed_at(o, i, k)] != code || row[i] != code) {
                printf("FAIL %s: n=%zu k=%zu: output %zu, term %zu\n", j->name, n, k, o, i);
                return false;
            }
        }
    }
    return judge_same(j, want, got, 1, bytes, "n=%zu k=%zu strides %zu, %zu", n, k, output_stride,
                      term_stride) &&
           judge_canaries(j, 2, bytes) && judge_canaries(j, 3, k);
}

bool check_pack_i8(judge *j, qm_pack_i8_fn *fn)
{
    static const size_t ns[] = {0, 1, 3, 15, 16, 17, 32, 48, 65, 1024, 1040},
                        ks[] = {0, 1, 3, 4, 5, 8, 12, 63, 64, 130};
    for (size_t a = 0; a < QM_COUNT(ns); a++)
        for (size_t b = 0; b < QM_COUNT(ks); b++) {
            const size_t n = ns[a], k = ks[b];
            if (!compare_pack(j, fn, n, k, 1, n) || !compare_pack(j, fn, n, k, 1, n + 5) ||
                !compare_pack(j, fn, n, k, k, 1) || !compare_pack(j, fn, n, k, 2 * k + 1, 2))
                return false;
        }
    if (j->bench) {
        const size_t n = 1536, k = 768;
        const int8_t *in = judge_codes(j, 0, n * k, CODES);
        int8_t *packed = judge_buffer(j, 1, qm_packed_bytes(n, k));
        JUDGE_BENCH(j, "1536 x 768", (double)(n * k), "GB/s",
                    fn(packed, qm_panel_bytes(k), in, n, k, 1, n));
    }
    return true;
}

/* Packed weights; the places of outputs and terms that are not there are filled like the others. */
static const int8_t *judge_packed(judge *j, size_t n, size_t k, int p)
{
    return judge_codes(j, 0, qm_packed_bytes(n, k), (code_pattern)p);
}

static bool compare_matvec(judge *j, qm_matvec_i8_fn *fn, size_t n, size_t k, int p)
{
    const int8_t *w = judge_packed(j, n, k, p / N_CODE_PATTERNS);
    const int8_t *x = judge_codes(j, 1, k, (code_pattern)(p % N_CODE_PATTERNS));
    int32_t *want = judge_buffer(j, 2, n * sizeof *want);
    int32_t *got = judge_buffer(j, 3, n * sizeof *got);
    qm_matvec_i8_scalar(want, w, x, n, k);
    fn(got, w, x, n, k);
    return judge_same(j, want, got, sizeof *want, n, "n=%zu k=%zu patterns=%d", n, k, p) &&
           judge_canaries(j, 3, n * sizeof *got);
}

bool check_matvec_i8(judge *j, qm_matvec_i8_fn *fn)
{
    for (int p = 0; p < N_CODE_PATTERNS * N_CODE_PATTERNS; p++) {
        static const size_t ns[] = {0, 1, 4, 15, 16, 17, 31, 32, 33, 48, 64, 65, 80, 130};
        for (size_t s = 0; s < QM_COUNT(sizes); s++)
            for (size_t a = 0; a < QM_COUNT(ns); a++)
                if (!compare_matvec(j, fn, ns[a], sizes[s], p)) return false;
        if (!j->at_front && !compare_matvec(j, fn, 5, QM_MAX_I8_TERMS, p)) return false;
    }
    static const struct {
        const char *name;
        size_t n, k;
    } shapes[] = {
        {"96 x 1536",   96,   1536},
        {"2048 x 3072", 2048, 3072}
    };
    for (size_t i = 0; j->bench && i < QM_COUNT(shapes); i++) {
        const size_t n = shapes[i].n, k = shapes[i].k;
        const int8_t *w = judge_packed(j, n, k, CODES), *x = judge_codes(j, 1, k, CODES);
        int32_t *acc = judge_buffer(j, 3, n * sizeof *acc);
        JUDGE_BENCH(j, shapes[i].name, (double)(n * k), "GB/s", fn(acc, w, x, n, k));
    }
    return true;
}

static bool compare_matmul(judge *j, qm_matmul_i8_fn *fn, size_t m, size_t n, size_t k, int p)
{
    const size_t ldx = k + (size_t)p % 3, ldacc = n + (size_t)p % 2;
    const size_t n_x = (m - 1) * ldx + k, n_acc = (m - 1) * ldacc + n;
    const int8_t *w = judge_packed(j, n, k, p / N_CODE_PATTERNS);
    const int8_t *x = judge_codes(j, 1, n_x, (code_pattern)(p % N_CODE_PATTERNS));
    int32_t *want = judge_buffer(j, 2, n_acc * sizeof *want);
    int32_t *got = judge_buffer(j, 3, n_acc * sizeof *got);
    void *scratch = judge_buffer(j, 4, QM_I8_SCRATCH);
    memset(want, 0, n_acc * sizeof *want); /* the gaps must stay as they are */
    memset(got, 0, n_acc * sizeof *got);
    qm_matmul_i8_scalar(want, ldacc, w, x, ldx, m, n, k, scratch);
    fn(got, ldacc, w, x, ldx, m, n, k, scratch);
    return judge_same(j, want, got, sizeof *want, n_acc, "m=%zu n=%zu k=%zu patterns=%d", m, n, k,
                      p) &&
           judge_canaries(j, 3, n_acc * sizeof *got) && judge_canaries(j, 4, QM_I8_SCRATCH);
}

bool check_matmul_i8(judge *j, qm_matmul_i8_fn *fn)
{
    enum { N_PAIRS = N_CODE_PATTERNS * N_CODE_PATTERNS };
    static const size_t ms[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 32, 33, 48, 65};
    static const size_t ns[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 48, 63, 64, 65, 80, 130};
    int p = 0; /* every shape sees some pairs of patterns, every pair many shapes */
    for (size_t a = 0; a < QM_COUNT(ms); a++)
        for (size_t b = 0; b < QM_COUNT(ns); b++)
            for (size_t s = 0; s < QM_COUNT(sizes); s++)
                for (int times = 0; times < (j->at_front  ? 1
                                             : ms[a] < 16 ? 5
                                                          : 2);
                     times++, p = (p + 1) % N_PAIRS)
                    if (!compare_matmul(j, fn, ms[a], ns[b], sizes[s], p)) return false;
    for (p = 0; p < (j->at_front ? 1 : N_PAIRS); p++)
        if (!compare_matmul(j, fn, 9, 20, QM_MAX_I8_TERMS, p) ||
            (p % 9 == 0 && !compare_matmul(j, fn, 2100, 65, 20, p)))
            return false;
    static const struct {
        const char *name;
        size_t m, n, k;
    } shapes[] = {
        {"1 x 96 x 1536",   1,   96, 1536},
        {"2 x 96 x 1536",   2,   96, 1536},
        {"4 x 96 x 1536",   4,   96, 1536},
        {"8 x 96 x 1536",   8,   96, 1536},
        {"11 x 96 x 1536",  11,  96, 1536},
        {"12 x 96 x 1536",  12,  96, 1536},
        {"256 x 32 x 384",  256, 32, 384 },
        {"256 x 64 x 1536", 256, 64, 1536}
    };
    for (size_t i = 0; j->bench && i < QM_COUNT(shapes); i++) {
        const size_t m = shapes[i].m, n = shapes[i].n, k = shapes[i].k;
        const int8_t *w = judge_packed(j, n, k, CODES), *x = judge_codes(j, 1, m * k, CODES);
        int32_t *acc = judge_buffer(j, 3, m * n * sizeof *acc);
        void *scratch = judge_buffer(j, 4, QM_I8_SCRATCH);
        JUDGE_BENCH(j, shapes[i].name, (double)(m * n * k), "GMAC/s",
                    fn(acc, n, w, x, k, m, n, k, scratch));
    }
    return true;
}

bool check_conv_i8(judge *j, qm_conv_i8_fn *fn)
{
    for (size_t s = 0; s < QM_COUNT(sizes); s++)
        for (size_t width = 1; width <= 5; width++)
            for (int p = 0; p < N_CODE_PATTERNS * N_CODE_PATTERNS; p++) {
                const size_t n = sizes[s], ldw = n + width % 2;
                const int8_t *w =
                    judge_codes(j, 0, (width - 1) * ldw + n, (code_pattern)(p / N_CODE_PATTERNS));
                const int8_t *x = judge_codes(j, 1, n * width, (code_pattern)(p % N_CODE_PATTERNS));
                const float *bias = judge_floats(j, 2, n, (pattern)(p % N_PATTERNS));
                const int8_t *taps[5];
                for (size_t k = 0; k < width; k++)
                    taps[k] = x + (width - 1 - k) * n;
                float *want = judge_buffer(j, 3, n * sizeof(float));
                float *got = judge_buffer(j, 4, n * sizeof(float));
                qm_conv_i8_scalar(want, taps, w, ldw, 0.0123f, bias, n, width);
                fn(got, taps, w, ldw, 0.0123f, bias, n, width);
                if (!judge_equal(j, want, got, n, "n=%zu width=%zu patterns=%d", n, width, p) ||
                    !judge_canaries(j, 4, n * sizeof(float)))
                    return false;
                if (n == 1536 && width == 4 && p == 0)
                    JUDGE_BENCH(j, "1536 x 4", (double)n, "G/s",
                                fn(got, taps, w, ldw, 0.0123f, bias, n, width));
            }
    return true;
}

/* ---- floats and sums to codes ---------------------------------------------------------------- */

/* Any of the quantizers: in holds floats or int32 sums, b is used by those of two factors. */
typedef size_t convert(const void *fn, int8_t *q, const void *in, float a, float b, size_t n);

static bool compare_codes(judge *j, convert *run, const void *scalar, const void *fn,
                          const void *in, float a, float b, size_t n)
{
    int8_t *want = judge_buffer(j, 1, n), *got = judge_buffer(j, 2, n);
    size_t want_lost = run(scalar, want, in, a, b, n), got_lost = run(fn, got, in, a, b, n);
    int32_t lost[2] = {(int32_t)want_lost, (int32_t)got_lost};
    return judge_same(j, want, got, 1, n, "n=%zu, factors %a, %a", n, (double)a, (double)b) &&
           judge_same(j, &lost[0], &lost[1], sizeof lost[0], 1, "lost codes, n=%zu, factors %a, %a",
                      n, (double)a, (double)b) &&
           judge_canaries(j, 2, n);
}

/* Every 331st word of 32 bits, or every one there is, on all cores. */
static bool compare_all_words(judge *j, convert *run, const void *scalar, const void *fn, float a,
                              float b)
{
    enum { CHUNK = 4096 };
    if (j->at_front) return true;
    const uint64_t step = j->exhaustive ? 1 : 331;
    const int64_t n_chunks = (int64_t)((1ull << 32) / (CHUNK * step)) + 1;
    bool equal = true;
#pragma omp parallel for reduction(&& : equal) schedule(dynamic)
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        uint32_t words[CHUNK];
        int8_t want[CHUNK], got[CHUNK];
        const uint64_t begin = (uint64_t)chunk * CHUNK * step; /* past the end it begins anew */
        for (size_t i = 0; i < CHUNK; i++)
            words[i] = (uint32_t)(begin + i * step);
        int32_t lost[2] = {(int32_t)run(scalar, want, words, a, b, CHUNK),
                           (int32_t)run(fn, got, words, a, b, CHUNK)};
        equal = judge_same(j, want, got, 1, CHUNK, "bits %08llx + i * %llu",
                           (unsigned long long)begin, (unsigned long long)step) &&
                judge_same(j, &lost[0], &lost[1], sizeof lost[0], 1, "lost codes, bits %08llx",
                           (unsigned long long)begin) &&
                equal;
    }
    return equal;
}

/* Floats around every code and every tie, and what is no number. */
static float *hard_floats(judge *j, float scale, size_t *n)
{
    static const float odd[] = {0.0f,    -0.0f,    FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MIN,
                                FLT_MAX, -FLT_MAX, INFINITY,     -INFINITY,     NAN};
    enum { N_STEPS = 2 * 262, N_NEAR = 5 };
    *n = N_STEPS * N_NEAR + QM_COUNT(odd);
    float *x = judge_buffer(j, 0, *n * sizeof *x), *at = x;
    for (int step = 0; step < N_STEPS; step++) {
        float near = 0.5f * (float)(step - N_STEPS / 2) * scale;
        near = nextafterf(nextafterf(near, -INFINITY), -INFINITY);
        for (int i = 0; i < N_NEAR; i++, near = nextafterf(near, INFINITY))
            *at++ = near;
    }
    memcpy(at, odd, sizeof odd);
    return x;
}

static bool check_quantize(judge *j, convert *run, const void *scalar, const void *fn)
{
    static const float scales[] = {1.0f,  0.0123f, 3.0f,         -0.5f, 1e-38f,  1e-44f,
                                   1e35f, 0.0f,    FLT_TRUE_MIN, NAN,   INFINITY};
    bool equal = true;
    for (size_t i = 0; equal && i < QM_COUNT(scales); i++) {
        size_t n;
        const float *hard = hard_floats(j, scales[i], &n);
        equal = compare_codes(j, run, scalar, fn, hard, scales[i], 0.0f, n);
        for (size_t s = 0; equal && s < QM_COUNT(sizes); s++)
            for (int p = 0; equal && p < N_PATTERNS; p++) {
                const float *x = judge_floats(j, 0, sizes[s], (pattern)p);
                equal = compare_codes(j, run, scalar, fn, x, scales[i], 0.0f, sizes[s]);
            }
    }
    if (j->bench) {
        const size_t n = 4096;
        const float *x = judge_floats(j, 0, n, RANDOM);
        int8_t *q = judge_buffer(j, 1, n);
        JUDGE_BENCH(j, "4096", (double)n, "G/s", run(fn, q, x, 0.01f, 0.0f, n));
    }
    return equal && (memcmp(scalar, fn, sizeof(qm_quantize_even_i8_fn *)) == 0 ||
                     (compare_all_words(j, run, scalar, fn, 1.0f, 0.0f) &&
                      compare_all_words(j, run, scalar, fn, 0.0123f, 0.0f)));
}

/* Function pointers travel in a small struct: ISO C has no void pointer to functions. */
#define CHECK_QUANTIZE(op)                                                                         \
    static size_t run_##op(const void *fn, int8_t *q, const void *in, float a, float b, size_t n)  \
    {                                                                                              \
        qm_##op##_fn *const *f = fn;                                                               \
        (void)b;                                                                                   \
        return (*f)(q, in, a, n);                                                                  \
    }                                                                                              \
    bool check_##op(judge *j, qm_##op##_fn *fn)                                                    \
    {                                                                                              \
        qm_##op##_fn *const scalar = qm_##op##_scalar;                                             \
        return check_quantize(j, run_##op, &scalar, &fn);                                          \
    }
CHECK_QUANTIZE(quantize_even_i8)
CHECK_QUANTIZE(quantize_away_i8)
#undef CHECK_QUANTIZE

/* Sums of every magnitude, the ends of int32 among them. */
static int32_t *judge_sums(judge *j, int slot, size_t n)
{
    static const int32_t ends[] = {INT32_MIN, INT32_MIN + 1, INT32_MAX, 0, 1, -1, 1 << 24};
    int32_t *sums = judge_buffer(j, slot, n * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        uint64_t r = judge_random(j);
        sums[i] = r % 11 == 0 ? ends[(r >> 8) % QM_COUNT(ends)]
                              : (int32_t)(uint32_t)r >> ((r >> 40) % 32);
    }
    return sums;
}

static const float factors[][2] = {
    {0.5f,     1.0f    },
    {0.25f,    2.0f    },
    {0.0037f,  0.11f   },
    {1e-30f,   1e29f   },
    {1e30f,    1e-30f  },
    {1e30f,    1e30f   },
    {-0.5f,    0.3f    },
    {0.0f,     1.0f    },
    {NAN,      1.0f    },
    {0.5f,     INFINITY},
    {1e-44f,   1e38f   },
    {1e-10f,   1e-38f  },
    {0.00391f, 1e-5f   },
    {1.0f,     -0.0f   },
    {0.1f,     5.0f    },
    {1.0f,     0x1p-10f},
    {1e-3f,    600.0f  },
};

static size_t run_requantize(const void *fn, int8_t *q, const void *in, float a, float b, size_t n)
{
    qm_requantize_i8_fn *const *f = fn;
    return (*f)(q, in, a, b, n);
}

bool check_requantize_i8(judge *j, qm_requantize_i8_fn *fn)
{
    qm_requantize_i8_fn *const scalar = qm_requantize_i8_scalar;
    for (size_t i = 0; i < QM_COUNT(factors); i++)
        for (size_t s = 0; s < QM_COUNT(sizes); s++) {
            const int32_t *acc = judge_sums(j, 0, sizes[s]);
            if (!compare_codes(j, run_requantize, &scalar, &fn, acc, factors[i][0], factors[i][1],
                               sizes[s]))
                return false;
        }
    if (j->bench) {
        const size_t n = 4096;
        const int32_t *acc = judge_sums(j, 0, n);
        int8_t *q = judge_buffer(j, 1, n);
        JUDGE_BENCH(j, "4096", (double)n, "G/s", fn(q, acc, 1e-3f, 1e-3f, n));
    }
    return fn == scalar || (compare_all_words(j, run_requantize, &scalar, &fn, 0.5f, 1.0f) &&
                            compare_all_words(j, run_requantize, &scalar, &fn, 1.3e-7f, 0.71f));
}

/* ---- codes and sums to floats ---------------------------------------------------------------- */

bool check_rescale_f16(judge *j, qm_rescale_f16_fn *fn)
{
    for (size_t i = 0; i < QM_COUNT(factors); i++)
        for (size_t s = 0; s < QM_COUNT(sizes); s++) {
            const size_t n = sizes[s];
            const float a = factors[i][0], b = factors[i][1];
            const int32_t *acc = judge_sums(j, 0, n);
            float *want = judge_buffer(j, 1, n * sizeof(float));
            float *got = judge_buffer(j, 2, n * sizeof(float));
            qm_rescale_f16_scalar(want, acc, a, b, n);
            fn(got, acc, a, b, n);
            if (!judge_equal(j, want, got, n, "n=%zu factors %a, %a", n, (double)a, (double)b) ||
                !judge_canaries(j, 2, n * sizeof(float)))
                return false;
        }
    if (j->bench) {
        const size_t n = 4096;
        const int32_t *acc = judge_sums(j, 0, n);
        float *y = judge_buffer(j, 1, n * sizeof(float));
        JUDGE_BENCH(j, "4096", (double)n, "G/s", fn(y, acc, 1e-3f, 1e-3f, n));
    }
    return true;
}

static const float code_scales[] = {0.0123f, 1e-44f, 3e36f, -0.7f, 0.0f, INFINITY, NAN};

bool check_dequantize_i8(judge *j, qm_dequantize_i8_fn *fn)
{
    for (size_t i = 0; i < QM_COUNT(code_scales); i++)
        for (size_t s = 0; s < QM_COUNT(sizes); s++)
            for (int p = 0; p < N_CODE_PATTERNS; p++) {
                const size_t n = sizes[s];
                const int8_t *q = judge_codes(j, 0, n, (code_pattern)p);
                float *want = judge_buffer(j, 1, n * sizeof(float));
                float *got = judge_buffer(j, 2, n * sizeof(float));
                qm_dequantize_i8_scalar(want, q, code_scales[i], n);
                fn(got, q, code_scales[i], n);
                if (!judge_equal(j, want, got, n, "n=%zu pattern=%d", n, p) ||
                    !judge_canaries(j, 2, n * sizeof(float)))
                    return false;
                if (n == 1536 && i == 0 && p == CODES)
                    JUDGE_BENCH(j, "1536", (double)n, "G/s", fn(got, q, code_scales[i], n));
            }
    return true;
}

bool check_affine_i8(judge *j, qm_affine_i8_fn *fn)
{
    for (size_t i = 0; i < QM_COUNT(code_scales); i++)
        for (size_t s = 0; s < QM_COUNT(sizes); s++)
            for (int p = 0; p < N_PATTERNS; p++) {
                const size_t n = sizes[s];
                const int8_t *q = judge_codes(j, 0, n, CODES);
                const float *bias = judge_floats(j, 1, n, (pattern)p);
                float *want = judge_buffer(j, 2, n * sizeof(float));
                float *got = judge_buffer(j, 3, n * sizeof(float));
                qm_affine_i8_scalar(want, q, code_scales[i], bias, n);
                fn(got, q, code_scales[i], bias, n);
                if (!judge_equal(j, want, got, n, "n=%zu pattern=%d", n, p) ||
                    !judge_canaries(j, 3, n * sizeof(float)))
                    return false;
                if (n == 1536 && i == 0 && p == RANDOM)
                    JUDGE_BENCH(j, "1536", (double)n, "G/s", fn(got, q, code_scales[i], bias, n));
            }
    return true;
}
