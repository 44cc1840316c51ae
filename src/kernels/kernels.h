/* The operators and their contract (docs/numerics.md):
 *  - a reduction over n terms runs in 16 lanes, term i in lane i % 16, lanes starting at +0; then
 *    the lanes are halved: lane j += lane j + 8, then 4, 2, 1;
 *  - fused multiply-add exactly where the comment writes fma;
 *  - neither reads nor writes past n; inputs and outputs do not overlap unless said; any alignment;
 *  - all versions of an operator give the same bits, except that any NaN equals any NaN.
 * Matrices are row-major; ldX is the distance of rows in elements. */
#ifndef QM_KERNELS_KERNELS_H
#define QM_KERNELS_KERNELS_H

#include "base/packed.h"
#include "kernels/cpu.h"
#include "op/lanes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sum of a[i] * b[i]; each lane = fma(a[i], b[i], lane) */
typedef float qm_dot_f32_fn(const float *a, const float *b, size_t n);

/* y[j] = dot(w[j][0..k), x), j < n.  Half types are widened exactly. */
typedef void qm_matvec_f32_fn(float *restrict y, const float *restrict w, const float *restrict x,
                              size_t n, size_t k);
typedef void qm_matvec_f16_fn(float *restrict y, const uint16_t *restrict w,
                              const float *restrict x, size_t n, size_t k);
typedef void qm_matvec_bf16_fn(float *restrict y, const uint16_t *restrict w,
                               const float *restrict x, size_t n, size_t k);

/* y[i][j] = dot(w[j], x[i]), i < m, j < n; w is [n][k] without gaps. */
typedef void qm_matmul_f32_fn(float *restrict y, size_t ldy, const float *restrict w,
                              const float *restrict x, size_t ldx, size_t m, size_t n, size_t k);

/* y[i] = x[i] in float, exactly (subnormals included). */
typedef void qm_widen_f16_fn(float *restrict y, const uint16_t *restrict x, size_t n);
typedef void qm_widen_bf16_fn(float *restrict y, const uint16_t *restrict x, size_t n);

/* y[i] rounded to half (to nearest even, overflow to inf) and widened, in place. */
typedef void qm_round_f16_fn(float *y, size_t n);

/* r = 1 / sqrt(dot(x, x) / n + eps);  y[i] = (x[i] * r) * weight[i] */
typedef void qm_rms_norm_f32_fn(float *restrict y, const float *restrict x,
                                const float *restrict weight, float eps, size_t n);

/* One token of the causal convolution: acc = bias[c], then for k = 0 .. width-1 (oldest first)
 * acc = fma(w[k * ldw + c], taps[k][c], acc);  y[c] = acc.  No activation. */
typedef void qm_conv_f32_fn(float *restrict y, const float *const *taps, const float *restrict w,
                            size_t ldw, const float *restrict bias, size_t n, size_t width);

/* y[i] = y[i] / (1 + exp(-y[i])), in place */
typedef void qm_silu_f32_fn(float *y, size_t n);

/* y[i] = softplus(y[i] + bias[i]), in place: log1p(exp(x)), and the log(exp(x) + 1) form; bias may
 * be NULL: y[i] = softplus(y[i]) */
typedef void qm_softplus_f32_fn(float *restrict y, const float *restrict bias, size_t n);
typedef void qm_softplus_log_f32_fn(float *restrict y, const float *restrict bias, size_t n);

/* y[i] = (y[i] * z[i]) / (1 + exp(-z[i])), in place */
typedef void qm_gate_f32_fn(float *restrict y, const float *restrict z, size_t n);

/* The selective scan of n_rows tokens over n channels.  For each token, channel c:
 *     du = delta[c] * u[c];  out = d[c] * u[c]
 *     for s = 0 .. d_state-1:
 *         h[s][c] = fma(exp(delta[c] * a[s][c]), h[s][c], b[s] * du)
 *         out     = fma(h[s][c], c_[s], out)
 *     y[c] = out
 * h, a: [d_state][ld_state], h updated in place; u, delta, y: [n_rows][n]; b, c_:
 * [n_rows][d_state]. a < 0 and delta >= 0 in a trained model, but any values are defined. */
typedef struct qm_scan_f32_args {
    float *y;
    float *h;
    const float *u, *delta, *a, *b, *c, *d;
    size_t ld_y, ld_u, ld_delta, ld_bc, ld_state;
    size_t n_rows, n, d_state;
} qm_scan_f32_args;
typedef void qm_scan_f32_fn(const qm_scan_f32_args *args);

/* The same recurrence with every product and sum rounded by itself, the skip term last; one token
 * of it is upstream's decode step.  For each token, channel c:
 *     for s = 0 .. d_state-1:
 *         h[s][c] = exp(delta[c] * a[s][c]) * h[s][c] + (delta[c] * b[s]) * u[c]
 *         out     = out + h[s][c] * c_[s], out starting at +0
 *     y[c] = out + d[c] * u[c] */
typedef void qm_scan_ref_f32_fn(const qm_scan_f32_args *args);

/* The scan as one tensor expression: the input term formed first, the sum with C by fma.
 *         h[s][c] = exp(delta[c] * a[s][c]) * h[s][c] + b[s] * (delta[c] * u[c])
 *         out     = fma(h[s][c], c_[s], out), out starting at +0
 *     y[c] = out + d[c] * u[c] */
typedef void qm_scan_se_f32_fn(const qm_scan_f32_args *args);

/* The scan of the Mamba package: a holds A * log2(e), the skip term first.
 *     du = delta[c] * u[c];  out = d[c] * u[c]
 *         h[s][c] = fma(exp2(delta[c] * a[s][c]), h[s][c], b[s] * du)
 *         out     = fma(h[s][c], c_[s], out) */
typedef void qm_scan_mamba_f32_fn(const qm_scan_f32_args *args);

/* Upstream's decode step with an INT8 state: scan_ref_f32 of one token (n_rows is 1), y being that
 * of the state as computed, which then goes onto the grid: h = scale * q, q the code of (100 h) /
 * (100 scale), ties to even, or if away of h / scale, ties away from zero.  Returns how many codes
 * saturated or were NaN. */
typedef size_t qm_scan_step_i8_fn(const qm_scan_f32_args *args, float scale, bool away);

/* y[i] = y[i] * (z[i] / (1 + exp(-z[i]))), in place */
typedef void qm_gate_ref_f32_fn(float *restrict y, const float *restrict z, size_t n);

/* y[i] = y[i] * (z[i] * (1 / (1 + exp(-z[i])))), in place */
typedef void qm_gate_sigmoid_f32_fn(float *restrict y, const float *restrict z, size_t n);

/* sum of exp(x[i] - max), lane += exp(...) */
typedef float qm_sum_exp_f32_fn(const float *x, float max, size_t n);

/* ---- INT8: sums are exact, so their order is free; k <= QM_MAX_I8_TERMS keeps them in int32 ----
 */

enum {
    QM_MAX_I8_TERMS = 1 << 16,
    QM_I8_TILE = 64,        /* outputs whose sums a linear may hold at a time */
    QM_I8_SCRATCH = 8 << 10 /* bytes that a product may need, aligned to 64 */
};

/* packed: w[j][i] = in[j * output_stride + i * term_stride], j < n, i < k, as base/packed.h has it,
 * from the start of a group on, panels being `panel` bytes apart; zeros in the places of what is
 * not there. */
typedef void qm_pack_i8_fn(int8_t *restrict packed, size_t panel, const int8_t *restrict in,
                           size_t n, size_t k, size_t output_stride, size_t term_stride);

/* acc[j] = sum of w[j][i] * x[i], j < n; w packed, from the start of a panel on */
typedef void qm_matvec_i8_fn(int32_t *restrict acc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t n, size_t k);

/* acc[i][j] = sum of w[j][r] * x[i][r], i < m, j < n; w packed, from the start of a panel on */
typedef void qm_matmul_i8_fn(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                             const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                             void *scratch);

/* Products of m rows of codes and what becomes of the sums, in one go: with acc the exact sum over
 * r < k of w[j][r] * x[i][r], and v = second * (first * (float)acc), y[i][j] for i < m, j < n. */
typedef struct qm_linear_i8_args {
    const int8_t *w; /* [n][k] packed, from the start of a panel on */
    const int8_t *x; /* [m][ldx] */
    size_t ldx, ldy, m, n, k;
    float first, second;
    int32_t *acc;  /* scratch: [m][QM_I8_TILE] */
    void *scratch; /* QM_I8_SCRATCH bytes, aligned to 64 */
} qm_linear_i8_args;

/* y = code(v), ties to even; lost[i] += how many codes of row i saturated or were NaN */
typedef void qm_linear_i8_codes_fn(int8_t *restrict y, size_t *restrict lost,
                                   const qm_linear_i8_args *args);
/* y = v rounded to half and widened; y = v */
typedef void qm_linear_i8_f16_fn(float *restrict y, const qm_linear_i8_args *args);
typedef void qm_linear_i8_f32_fn(float *restrict y, const qm_linear_i8_args *args);

/* Quantizers return how many codes saturated or were NaN (base/code.h).
 * q[i] = code(second * (first * (float)acc[i])), ties to even */
typedef size_t qm_requantize_i8_fn(int8_t *restrict q, const int32_t *restrict acc, float first,
                                   float second, size_t n);
/* q[i] = code(x[i] / scale), ties to even and ties away from zero */
typedef size_t qm_quantize_even_i8_fn(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n);
typedef size_t qm_quantize_away_i8_fn(int8_t *restrict q, const float *restrict x, float scale,
                                      size_t n);

/* y[i] = second * (first * (float)acc[i]), rounded to half and widened */
typedef void qm_rescale_f16_fn(float *restrict y, const int32_t *restrict acc, float first,
                               float second, size_t n);

/* y[i] = scale * q[i];  y[i] = fma(scale, q[i], bias[i]) */
typedef void qm_dequantize_i8_fn(float *restrict y, const int8_t *restrict q, float scale,
                                 size_t n);
typedef void qm_affine_i8_fn(float *restrict y, const int8_t *restrict q, float scale,
                             const float *restrict bias, size_t n);

/* One token of the causal convolution on codes: acc = exact sum over k of w[k * ldw + c] *
 * taps[k][c];  y[c] = fma(scale, (float)acc, bias[c]).  No activation. */
typedef void qm_conv_i8_fn(float *restrict y, const int8_t *const *taps, const int8_t *restrict w,
                           size_t ldw, float scale, const float *restrict bias, size_t n,
                           size_t width);

/* Hadamard transform of x[m * width] in place, width a power of two: in each block of width the
 * butterflies (a, b) -> (a + b, a - b) of stride 1, 2, 4 ..; then, for m > 1, x[c'][r] = the sum,
 * from +0 in the order of c, of x[c][r] or its negative as signs[c'][c] is 1 or -1; then times
 * scale.  signs: [m][m], unused for m = 1; scratch: m * width floats. */
typedef void qm_hadamard_f32_fn(float *restrict x, float *restrict scratch,
                                const int8_t *restrict signs, size_t m, size_t width, float scale);

/* Every version, by name. */
#define QM_KERNEL(op, isa, function) qm_##op##_fn function;
#include "kernels/kernels.def"
#undef QM_KERNEL

/* One version of each operator: what a session runs with. */
typedef struct qm_kernels {
    uint32_t cpu; /* the flags it was filled for */
    qm_dot_f32_fn *dot_f32;
    qm_matvec_f32_fn *matvec_f32;
    qm_matvec_f16_fn *matvec_f16;
    qm_matvec_bf16_fn *matvec_bf16;
    qm_matmul_f32_fn *matmul_f32;
    qm_widen_f16_fn *widen_f16;
    qm_widen_bf16_fn *widen_bf16;
    qm_round_f16_fn *round_f16;
    qm_rms_norm_f32_fn *rms_norm_f32;
    qm_conv_f32_fn *conv_f32;
    qm_silu_f32_fn *silu_f32;
    qm_softplus_f32_fn *softplus_f32;
    qm_softplus_log_f32_fn *softplus_log_f32;
    qm_gate_f32_fn *gate_f32;
    qm_scan_f32_fn *scan_f32;
    qm_sum_exp_f32_fn *sum_exp_f32;
    qm_scan_ref_f32_fn *scan_ref_f32;
    qm_scan_se_f32_fn *scan_se_f32;
    qm_scan_mamba_f32_fn *scan_mamba_f32;
    qm_scan_step_i8_fn *scan_step_i8;
    qm_gate_ref_f32_fn *gate_ref_f32;
    qm_gate_sigmoid_f32_fn *gate_sigmoid_f32;
    qm_pack_i8_fn *pack_i8;
    qm_matvec_i8_fn *matvec_i8;
    qm_matmul_i8_fn *matmul_i8;
    qm_linear_i8_codes_fn *linear_i8_codes;
    qm_linear_i8_f16_fn *linear_i8_f16;
    qm_linear_i8_f32_fn *linear_i8_f32;
    qm_requantize_i8_fn *requantize_i8;
    qm_quantize_even_i8_fn *quantize_even_i8;
    qm_quantize_away_i8_fn *quantize_away_i8;
    qm_rescale_f16_fn *rescale_f16;
    qm_dequantize_i8_fn *dequantize_i8;
    qm_affine_i8_fn *affine_i8;
    qm_conv_i8_fn *conv_i8;
    qm_hadamard_f32_fn *hadamard_f32;
} qm_kernels;

/* The best version of each operator for these flags (qm_cpu_select). */
qm_kernels qm_kernels_select(uint32_t cpu);

#endif
