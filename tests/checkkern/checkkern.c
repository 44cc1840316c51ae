/* Judges every version of every operator in kernels.def against its scalar twin, by bits, on sizes
 * around every tile and on hostile values.  checkkern [--seed N] [--op NAME] [--exhaustive]
 * [--bench]; status 1 when one differs. */
#include "judge.h"
#include "twins.h"

#include "base/half.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 24, 31, 33, 63, 64, 65, 255, 384, 1000};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* ---- reductions ------------------------------------------------------------------------------ */

bool check_dot_f32(judge *j, qm_dot_f32_fn *fn)
{
    for (size_t s = 0; s < N_SIZES; s++)
        for (int p = 0; p < N_PATTERNS * N_PATTERNS; p++) {
            size_t n = sizes[s];
            const float *a = judge_floats(j, 0, n, (pattern)(p / N_PATTERNS));
            const float *b = judge_floats(j, 1, n, (pattern)(p % N_PATTERNS));
            float want = qm_dot_f32_scalar(a, b, n), got = fn(a, b, n);
            if (!judge_equal(j, &want, &got, 1, "n=%zu patterns=%d", n, p)) return false;
        }
    return true;
}

/* The three matvecs differ in the type of the weights only. */
#define CHECK_MATVEC(op, type, fill, scalar)                                                       \
    bool check_##op(judge *j, qm_##op##_fn *fn)                                                    \
    {                                                                                              \
        for (size_t s = 1; s < N_SIZES; s++)                                                       \
            for (size_t n = 0; n < 14; n++)                                                        \
                for (int p = 0; p < N_PATTERNS; p++) {                                             \
                    size_t k = sizes[s];                                                           \
                    const type *w = fill(j, 0, n * k, (pattern)p);                                 \
                    const float *x = judge_floats(j, 1, k, p == SPECIAL ? RANDOM : (pattern)p);    \
                    float *want = judge_buffer(j, 2, n * sizeof(float));                           \
                    float *got = judge_buffer(j, 3, n * sizeof(float));                            \
                    scalar(want, w, x, n, k);                                                      \
                    fn(got, w, x, n, k);                                                           \
                    if (!judge_equal(j, want, got, n, "n=%zu k=%zu pattern=%d", n, k, p) ||        \
                        !judge_canaries(j, 3, n * sizeof(float)))                                  \
                        return false;                                                              \
                }                                                                                  \
        if (j->bench) {                                                                            \
            const size_t n = 2000, k = 384;                                                        \
            const type *w = fill(j, 0, n * k, RANDOM);                                             \
            const float *x = judge_floats(j, 1, k, RANDOM);                                        \
            float *y = judge_buffer(j, 3, n * sizeof(float));                                      \
            JUDGE_BENCH(j, "2000 x 384", (double)(n * k * sizeof(type)), "GB/s",                   \
                        fn(y, w, x, n, k));                                                        \
        }                                                                                          \
        return true;                                                                               \
    }
CHECK_MATVEC(matvec_f32, float, judge_floats, qm_matvec_f32_scalar)
CHECK_MATVEC(matvec_f16, uint16_t, judge_halves, qm_matvec_f16_scalar)
CHECK_MATVEC(matvec_bf16, uint16_t, judge_halves, qm_matvec_bf16_scalar)
#undef CHECK_MATVEC

bool check_matmul_f32(judge *j, qm_matmul_f32_fn *fn)
{
    static const size_t ms[] = {1, 2, 3, 4, 5, 6, 7, 13, 95, 96, 97, 100};
    for (size_t s = 1; s < N_SIZES; s++)
        for (size_t a = 0; a < sizeof ms / sizeof ms[0]; a++)
            for (size_t n = 1; n < 12; n += a % 3 + 1)
                for (int p = 0; p < N_PATTERNS; p += j->at_front ? 5 : 1) {
                    size_t k = sizes[s], m = ms[a], ldx = k + (size_t)p % 3,
                           ldy = n + (size_t)p % 2;
                    const float *w = judge_floats(j, 0, n * k, (pattern)p);
                    size_t n_x = (m - 1) * ldx + k, n_y = (m - 1) * ldy + n;
                    const float *x = judge_floats(j, 1, n_x, p == SPECIAL ? RANDOM : (pattern)p);
                    float *want = judge_buffer(j, 2, n_y * sizeof(float));
                    float *got = judge_buffer(j, 3, n_y * sizeof(float));
                    memset(want, 0, n_y * sizeof(float)); /* the gaps must stay as they are */
                    memset(got, 0, n_y * sizeof(float));
                    qm_matmul_f32_scalar(want, ldy, w, x, ldx, m, n, k);
                    fn(got, ldy, w, x, ldx, m, n, k);
                    if (!judge_equal(j, want, got, n_y, "m=%zu n=%zu k=%zu pattern=%d", m, n, k,
                                     p) ||
                        !judge_canaries(j, 3, n_y * sizeof(float)))
                        return false;
                }
    if (j->bench) {
        const size_t m = 256, n = 32, k = 1536;
        const float *w = judge_floats(j, 0, n * k, RANDOM), *x = judge_floats(j, 1, m * k, RANDOM);
        float *y = judge_buffer(j, 3, m * n * sizeof(float));
        JUDGE_BENCH(j, "256 x 32 x 384", 2.0 * (double)(m * n * 384), "GFLOP/s",
                    fn(y, n, w, x, 384, m, n, 384));
        JUDGE_BENCH(j, "256 x 32 x 1536", 2.0 * (double)(m * n * k), "GFLOP/s",
                    fn(y, n, w, x, k, m, n, k));
    }
    return true;
}

bool check_sum_exp_f32(judge *j, qm_sum_exp_f32_fn *fn)
{
    for (size_t s = 0; s < N_SIZES; s++)
        for (int p = 0; p < N_PATTERNS; p++) {
            size_t n = sizes[s];
            const float *x = judge_floats(j, 0, n, (pattern)p);
            float want = qm_sum_exp_f32_scalar(x, 0.5f, n), got = fn(x, 0.5f, n);
            if (!judge_equal(j, &want, &got, 1, "n=%zu pattern=%d", n, p)) return false;
        }
    return true;
}

/* ---- conversions ----------------------------------------------------------------------------- */

/* All 65,536 halves, and every length of the tail. */
static bool check_widen(judge *j, qm_widen_f16_fn *scalar, qm_widen_f16_fn *fn)
{
    for (size_t n = 65536 - 20; n <= 65536; n++) {
        uint16_t *x = judge_buffer(j, 0, n * sizeof *x);
        float *want = judge_buffer(j, 1, n * sizeof(float));
        float *got = judge_buffer(j, 2, n * sizeof(float));
        for (size_t i = 0; i < n; i++)
            x[i] = (uint16_t)(i + n);
        scalar(want, x, n);
        fn(got, x, n);
        if (!judge_equal(j, want, got, n, "n=%zu", n) || !judge_canaries(j, 2, n * sizeof(float)))
            return false;
    }
    return true;
}

bool check_widen_f16(judge *j, qm_widen_f16_fn *fn)
{
    return check_widen(j, qm_widen_f16_scalar, fn);
}

bool check_widen_bf16(judge *j, qm_widen_bf16_fn *fn)
{
    return check_widen(j, qm_widen_bf16_scalar, fn);
}

/* ---- one value to one value ------------------------------------------------------------------ */

/* An in-place operator with an optional second input. */
typedef void apply(const void *fn, float *y, const float *second, size_t n);

/* Every 331st float, or every float there is, on all cores. */
static bool check_all_floats(judge *j, apply *run, const void *scalar, const void *fn, float second)
{
    enum { CHUNK = 4096 };
    if (j->at_front) return true;
    const uint64_t step = j->exhaustive ? 1 : 331;
    const int64_t n_chunks = (int64_t)((1ull << 32) / (CHUNK * step)) + 1;
    bool equal = true;
#pragma omp parallel for reduction(&& : equal) schedule(dynamic)
    for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
        float want[CHUNK], got[CHUNK], seconds[CHUNK];
        const uint64_t begin = (uint64_t)chunk * CHUNK * step; /* past the end it begins anew */
        for (size_t i = 0; i < CHUNK; i++) {
            want[i] = got[i] = qm_f32_bits((uint32_t)(begin + i * step));
            seconds[i] = second;
        }
        run(scalar, want, seconds, CHUNK);
        run(fn, got, seconds, CHUNK);
        equal = judge_equal(j, want, got, CHUNK, "bits %08llx + i * %llu",
                            (unsigned long long)begin, (unsigned long long)step) &&
                equal;
    }
    return equal;
}

static bool check_pointwise(judge *j, apply *run, const void *scalar, const void *fn)
{
    for (size_t s = 0; s < N_SIZES; s++)
        for (int p = 0; p < N_PATTERNS * N_PATTERNS; p++) {
            size_t n = sizes[s];
            const float *second = judge_floats(j, 2, n, (pattern)(p % N_PATTERNS));
            float *want = judge_floats(j, 0, n, (pattern)(p / N_PATTERNS));
            float *got = judge_buffer(j, 1, n * sizeof(float));
            if (n > 0) memcpy(got, want, n * sizeof(float));
            run(scalar, want, second, n);
            run(fn, got, second, n);
            if (!judge_equal(j, want, got, n, "n=%zu patterns=%d", n, p) ||
                !judge_canaries(j, 1, n * sizeof(float)))
                return false;
        }
    if (j->bench) {
        const size_t n = 4096;
        float *y = judge_floats(j, 0, n, RANDOM);
        const float *second = judge_floats(j, 2, n, RANDOM);
        JUDGE_BENCH(j, "4096", (double)n, "G/s", run(fn, y, second, n));
    }
    return true;
}

/* Softplus without a bias. */
static bool check_unbiased(judge *j, qm_softplus_f32_fn *scalar, qm_softplus_f32_fn *fn)
{
    for (size_t s = 0; s < N_SIZES; s++)
        for (int p = 0; p < N_PATTERNS; p++) {
            size_t n = sizes[s];
            float *want = judge_floats(j, 0, n, (pattern)p);
            float *got = judge_buffer(j, 1, n * sizeof(float));
            if (n > 0) memcpy(got, want, n * sizeof(float));
            scalar(want, NULL, n);
            fn(got, NULL, n);
            if (!judge_equal(j, want, got, n, "no bias, n=%zu pattern=%d", n, p) ||
                !judge_canaries(j, 1, n * sizeof(float)))
                return false;
        }
    return true;
}

/* Function pointers travel in a small struct: ISO C has no void pointer to functions. */
#define CHECK_POINTWISE(op, call, second, more)                                                    \
    static void apply_##op(const void *fn, float *y, const float *z, size_t n)                     \
    {                                                                                              \
        qm_##op##_fn *const *f = fn;                                                               \
        (void)z;                                                                                   \
        call;                                                                                      \
    }                                                                                              \
    bool check_##op(judge *j, qm_##op##_fn *fn)                                                    \
    {                                                                                              \
        qm_##op##_fn *const scalar = qm_##op##_scalar;                                             \
        return check_pointwise(j, apply_##op, &scalar, &fn) &&                                     \
               (fn == scalar || check_all_floats(j, apply_##op, &scalar, &fn, second)) && (more);  \
    }
CHECK_POINTWISE(round_f16, (*f)(y, n), 0.0f, true)
CHECK_POINTWISE(silu_f32, (*f)(y, n), 0.0f, true)
CHECK_POINTWISE(softplus_f32, (*f)(y, z, n), 0.0f, check_unbiased(j, scalar, fn))
CHECK_POINTWISE(softplus_log_f32, (*f)(y, z, n), 0.0f, check_unbiased(j, scalar, fn))
CHECK_POINTWISE(gate_f32, (*f)(y, z, n), 0.75f, true)
CHECK_POINTWISE(gate_ref_f32, (*f)(y, z, n), 0.75f, true)
CHECK_POINTWISE(gate_sigmoid_f32, (*f)(y, z, n), 0.75f, true)
#undef CHECK_POINTWISE

/* ---- the rest -------------------------------------------------------------------------------- */

bool check_rms_norm_f32(judge *j, qm_rms_norm_f32_fn *fn)
{
    for (size_t s = 1; s < N_SIZES; s++)
        for (int p = 0; p < N_PATTERNS; p++) {
            size_t n = sizes[s];
            const float *x = judge_floats(j, 0, n, (pattern)p);
            const float *weight = judge_floats(j, 1, n, RANDOM);
            float *want = judge_buffer(j, 2, n * sizeof(float));
            float *got = judge_buffer(j, 3, n * sizeof(float));
            qm_rms_norm_f32_scalar(want, x, weight, 1e-5f, n);
            fn(got, x, weight, 1e-5f, n);
            if (!judge_equal(j, want, got, n, "n=%zu pattern=%d", n, p) ||
                !judge_canaries(j, 3, n * sizeof(float)))
                return false;
        }
    return true;
}

bool check_conv_f32(judge *j, qm_conv_f32_fn *fn)
{
    for (size_t s = 1; s < N_SIZES; s++)
        for (size_t width = 1; width <= 5; width++)
            for (int p = 0; p < N_PATTERNS; p++) {
                size_t n = sizes[s], ldw = n + width % 2;
                const float *w = judge_floats(j, 0, (width - 1) * ldw + n, (pattern)p);
                const float *x = judge_floats(j, 1, n * width, p == SPECIAL ? WIDE : (pattern)p);
                const float *bias = judge_floats(j, 2, n, RANDOM);
                const float *taps[5];
                for (size_t k = 0; k < width; k++)
                    taps[k] = x + (width - 1 - k) * n;
                float *want = judge_buffer(j, 3, n * sizeof(float));
                float *got = judge_buffer(j, 4, n * sizeof(float));
                qm_conv_f32_scalar(want, taps, w, ldw, bias, n, width);
                fn(got, taps, w, ldw, bias, n, width);
                if (!judge_equal(j, want, got, n, "n=%zu width=%zu pattern=%d", n, width, p) ||
                    !judge_canaries(j, 4, n * sizeof(float)))
                    return false;
            }
    return true;
}

/* A scan of any kind, or the decode step with its INT8 state. */
typedef struct any_scan {
    qm_scan_f32_fn *scan;
    qm_scan_step_i8_fn *step; /* NULL: scan */
    float scale;
    bool away;
} any_scan;

static size_t run_scan(const any_scan *s, const qm_scan_f32_args *args)
{
    if (s->step) return s->step(args, s->scale, s->away);
    s->scan(args);
    return 0;
}

/* One scan over n channels and n_rows tokens on the same inputs; y in slot 6, h in slot 5. */
static bool compare_scan(judge *j, const any_scan *scalar, const any_scan *fn, size_t n,
                         size_t n_rows, size_t n_state, pattern p)
{
    size_t pad = n % 3, ld = n + pad, n_y = n_rows * ld - pad, n_h = n_state * ld - pad;
    float *rates = judge_floats(j, 2, n_h, p);
    for (size_t i = 0; i < n_h && n_rows == 1; i++) /* every decay from 0 to inf */
        rates[i] *= 160.0f;
    qm_scan_f32_args a = {.u = judge_floats(j, 0, n_y, p),
                          .delta = judge_floats(j, 1, n_y, p == SPECIAL ? WIDE : RANDOM),
                          .a = rates,
                          .b = judge_floats(j, 3, n_rows * n_state * 2, p),
                          .d = judge_floats(j, 4, n, RANDOM),
                          .ld_y = ld,
                          .ld_u = ld,
                          .ld_delta = ld,
                          .ld_bc = 2 * n_state,
                          .ld_state = ld,
                          .n_rows = n_rows,
                          .n = n,
                          .d_state = n_state};
    a.c = a.b + n_state;
    float *h = judge_floats(j, 5, n_h, RANDOM);
    float *y = judge_buffer(j, 6, n_y * sizeof(float));
    float *kept = malloc((n_h + n_y) * 2 * sizeof(float)); /* start, want h, want y */
    if (!kept) exit(2);
    memset(y, 0, n_y * sizeof(float));
    memcpy(kept, h, n_h * sizeof(float));
    a.h = h;
    a.y = y;
    const size_t want_lost = run_scan(scalar, &a);
    memcpy(kept + n_h, h, n_h * sizeof(float));
    memcpy(kept + 2 * n_h, y, n_y * sizeof(float));
    memcpy(h, kept, n_h * sizeof(float));
    memset(y, 0, n_y * sizeof(float));
    const float lost[2] = {(float)want_lost, (float)run_scan(fn, &a)};
    bool ok = judge_equal(j, &lost[0], &lost[1], 1, "lost codes, n=%zu d_state=%zu pattern=%d", n,
                          n_state, (int)p) &&
              judge_equal(j, kept + n_h, h, n_h, "state, n=%zu rows=%zu d_state=%zu pattern=%d", n,
                          n_rows, n_state, (int)p) &&
              judge_equal(j, kept + 2 * n_h, y, n_y, "y, n=%zu rows=%zu d_state=%zu pattern=%d", n,
                          n_rows, n_state, (int)p) &&
              judge_canaries(j, 6, n_y * sizeof(float)) &&
              judge_canaries(j, 5, n_h * sizeof(float));
    if (n_rows == 256)
        JUDGE_BENCH(j, "256 x 1536 x 16", (double)(n * n_rows * n_state), "G/s", run_scan(fn, &a));
    if (fn->step && n == 1536)
        JUDGE_BENCH(j, "1536 x 16", (double)(n * n_state), "G/s", run_scan(fn, &a));
    free(kept);
    return ok;
}

static bool check_scan(judge *j, qm_scan_f32_fn *scan_scalar, qm_scan_f32_fn *scan)
{
    const any_scan scalar = {.scan = scan_scalar}, fn = {.scan = scan};
    static const size_t rows[] = {1, 2, 5}, states[] = {1, 2, 16, 64, 65};
    for (size_t s = 1; s < N_SIZES; s++)
        for (size_t r = 0; r < 3; r++)
            for (size_t k = 0; k < QM_COUNT(states); k++)
                for (int p = 0; p < N_PATTERNS; p += j->at_front ? 5 : 1)
                    if (!compare_scan(j, &scalar, &fn, sizes[s], rows[r], states[k], (pattern)p))
                        return false;
    return compare_scan(j, &scalar, &fn, 384, 128, 16, RANDOM) &&
           (!j->bench || compare_scan(j, &scalar, &fn, 1536, 256, 16, RANDOM));
}

bool check_scan_f32(judge *j, qm_scan_f32_fn *fn) { return check_scan(j, qm_scan_f32_scalar, fn); }

bool check_scan_ref_f32(judge *j, qm_scan_ref_f32_fn *fn)
{
    return check_scan(j, qm_scan_ref_f32_scalar, fn);
}

bool check_scan_se_f32(judge *j, qm_scan_se_f32_fn *fn)
{
    return check_scan(j, qm_scan_se_f32_scalar, fn);
}

bool check_scan_mamba_f32(judge *j, qm_scan_mamba_f32_fn *fn)
{
    return check_scan(j, qm_scan_mamba_f32_scalar, fn);
}

bool check_scan_step_i8(judge *j, qm_scan_step_i8_fn *fn)
{
    static const size_t states[] = {1, 2, 16, 65};
    static const float scales[] = {0.01f, 0.3f, 1e-38f, 3e37f, 0.0f};
    for (int way = 0; way < 2 * (int)QM_COUNT(scales); way++) {
        const any_scan scalar = {NULL, qm_scan_step_i8_scalar, scales[way / 2], way % 2},
                       own = {NULL, fn, scales[way / 2], way % 2};
        for (size_t s = 1; s < N_SIZES; s++)
            for (size_t k = 0; k < QM_COUNT(states); k++)
                for (int p = 0; p < N_PATTERNS; p += j->at_front ? 5 : 1)
                    if (!compare_scan(j, &scalar, &own, sizes[s], 1, states[k], (pattern)p))
                        return false;
        if (way < 2 && !compare_scan(j, &scalar, &own, 1536, 1, 16, RANDOM)) return false;
    }
    return true;
}

/* Hadamard transforms of whole vectors (m = 1) and with a mixing matrix of any signs. */
bool check_hadamard_f32(judge *j, qm_hadamard_f32_fn *fn)
{
    static const size_t widths[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096},
                        ms[] = {1, 12, 20, 40, 41};
    for (size_t a = 0; a < sizeof widths / sizeof widths[0]; a++)
        for (size_t b = 0; b < sizeof ms / sizeof ms[0]; b++)
            for (int p = 0; p < N_PATTERNS; p++) {
                const size_t m = ms[b], width = widths[a], n = m * width;
                int8_t *signs = judge_codes(j, 0, m * m, CODES);
                for (size_t i = 0; i < m * m; i++)
                    signs[i] = signs[i] < 0 ? -1 : 1;
                float *want = judge_floats(j, 1, n, (pattern)p);
                if (p == ZEROS) /* all terms of the first row are -0, and their sum is +0 */
                    for (size_t i = 0; i < n; i++)
                        want[i] = signs[i / width] > 0 ? -0.0f : 0.0f;
                float *got = judge_buffer(j, 2, n * sizeof(float));
                float *scratch = judge_buffer(j, 3, n * sizeof(float));
                memcpy(got, want, n * sizeof(float));
                qm_hadamard_f32_scalar(want, scratch, signs, m, width, 0.3f);
                fn(got, scratch, signs, m, width, 0.3f);
                if (!judge_equal(j, want, got, n, "m=%zu width=%zu pattern=%d", m, width, p) ||
                    !judge_canaries(j, 2, n * sizeof(float)) ||
                    !judge_canaries(j, 3, n * sizeof(float)))
                    return false;
                if (p == RANDOM && width == 128 && m < 41)
                    JUDGE_BENCH(j,
                                m == 12   ? "12 x 128"
                                : m == 40 ? "40 x 128"
                                : m == 20 ? "20 x 128"
                                          : "128",
                                (double)n, "G/s", fn(got, scratch, signs, m, width, 0.3f));
            }
    return true;
}

/* ---- */

/* A processor that flushes subnormals would make everything here agree on wrong results. */
static bool flushes_to_zero(void)
{
    volatile float tiny = 0x1p-126f, half = 0.5f;
    volatile float below = tiny * half;
    volatile float back = below * 2.0f;
    return below == 0.0f || back != tiny;
}

/* The name on the command line of the set with these flags. */
static const char *isa_name(uint32_t flags)
{
#define QM_ROW(set, name)                                                                          \
    if (flags == QM_CPU_##set) return name;
    QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    return "?";
}

/* What happened to the versions of an instruction set, or to the twins of a kind. */
typedef struct tally {
    const char *name;
    int judged, absent, differ;
} tally;

/* From the first value on, with buffers at that end of their slots; true. */
static bool place(judge *j, bool at_front, bool bench)
{
    j->state = j->seed;
    j->at_front = at_front;
    j->bench = bench;
    return true;
}

static bool is_judged(tally *t, uint32_t needs)
{
    const bool is = (qm_cpu_detect() & needs) == needs;
    *(is ? &t->judged : &t->absent) += 1;
    return is;
}

static tally *find(tally *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    rows->name = name;
    return rows;
}

/* Prints what ran and what did not; the exit status. */
static int report(const tally *rows)
{
    int n_judged = 0, n_absent = 0, n_differ = 0;
    for (; rows->name; rows++) {
        printf("%-22s", rows->name);
        if (rows->judged > 0) printf(" %2d judged, %d differ", rows->judged, rows->differ);
        if (rows->absent > 0) printf(" %2d SKIPPED: not on this processor", rows->absent);
        printf("\n");
        n_judged += rows->judged;
        n_absent += rows->absent;
        n_differ += rows->differ;
    }
    printf("%d versions judged, %d not on this processor, %d differ\n", n_judged, n_absent,
           n_differ);
    return n_differ > 0 || n_judged == 0;
}

int main(int argc, char **argv)
{
    judge j = {.seed = 1};
    const char *only = NULL;
    bool bench = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--exhaustive") == 0)
            j.exhaustive = true;
        else if (strcmp(argv[i], "--bench") == 0)
            bench = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            j.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--op") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            return fprintf(stderr,
                           "usage: checkkern [--seed N] [--op NAME] [--exhaustive] [--bench]\n"),
                   2;
    }
    if (flushes_to_zero()) return printf("subnormals are flushed to zero\n"), 1;
    judge_open(&j);
    tally rows[16] = {0}, *row;
#define JUDGE(op, isa, function, label)                                                            \
    if ((!only || strcmp(only, #op) == 0) && is_judged(row = find(rows, label), QM_CPU_##isa)) {   \
        j.name = #function;                                                                        \
        row->differ += !(place(&j, false, bench) && check_##op(&j, function) &&                    \
                         place(&j, true, false) && check_##op(&j, function));                      \
    }
#define QM_KERNEL(op, isa, function) JUDGE(op, isa, function, isa_name(QM_CPU_##isa))
#include "kernels/kernels.def"
#undef QM_KERNEL
#define QM_TWIN JUDGE
#include "twins.def"
#undef QM_TWIN
    if (bench && (!only || strncmp(only, "scan", 4) == 0)) judge_scan_cycles(&j);
    return report(rows);
}
