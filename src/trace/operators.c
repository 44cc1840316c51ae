/* Every operator of a block once more, from the traced inputs of its edge: the scalar operators,
 * put together as the formulas of edges.c say.  Only the sums of the linear layers come from the
 * fastest kernels, which differ from the scalar ones in nothing but speed. */
#include "base/fmath.h"
#include "datapath/grid.h"
#include "trace/walk.h"

#include <math.h>
#include <string.h>

static size_t inner(const qm_trace_piece *p) { return (size_t)p->config->d_inner; }

static void round_half(const qm_trace_piece *p, float *y, size_t n)
{
    if (p->half) qm_round_f16_scalar(y, n);
}

/* ---- linear layers ----------------------------------------------------------------------------
 */

static void float_products(const qm_trace_piece *p, const qm_linear *w, float *y, const float *x)
{
    const size_t n = (size_t)w->n_out, k = (size_t)w->n_in;
    if (w->dtype == QM_F32)
        p->fast.matvec_f32(y, w->weight, x, n, k);
    else if (w->dtype == QM_F16)
        p->fast.matvec_f16(y, w->weight, x, n, k);
    else
        p->fast.matvec_bf16(y, w->weight, x, n, k);
}

static void code_products(const qm_trace_piece *p, const qm_linear *w, int32_t *acc,
                          const int8_t *x)
{
    for (int32_t j = 0; j < w->n_out; j += w->n_part)
        p->fast.matvec_i8(acc + j, qm_linear_panel(w, j), x, (size_t)w->n_part, (size_t)w->n_in);
}

/* Products of numbers and weights fl(b * code), one output after the other. */
static void dequantized_products(const qm_trace_piece *p, const qm_linear *w, float *y,
                                 const float *x)
{
    const size_t k = (size_t)w->n_in;
    for (size_t j = 0; j < (size_t)w->n_out; j++) {
        qm_linear_row(w, (int32_t)j, p->codes);
        qm_dequantize_i8_scalar(p->row, p->codes, w->b, k);
        y[j] = p->fast.dot_f32(p->row, x, k);
    }
}

/* Onto the INT8 grid of scale, where the values stay numbers. */
static void snap(const qm_trace_piece *p, float *y, float scale, size_t n)
{
    qm_quantize_even_i8_scalar(p->codes, y, scale, n);
    qm_dequantize_i8_scalar(y, p->codes, scale, n);
}

/* ---- norm and in_proj -------------------------------------------------------------------------
 */

void qm_trace_embed(qm_trace_piece *p)
{
    const qm_linear *w = &p->model->embedding;
    const size_t d = (size_t)w->n_in;
    for (size_t r = 0; r < p->n_rows; r++) {
        const int32_t token = p->walk->plan->tokens[p->first + r];
        const size_t at = (size_t)token * d;
        float *out = qm_trace_numbers(p, QM_AT_RESIDUAL_IN, r);
        if (w->dtype == QM_I8) {
            qm_dequantize_i8_scalar(out, (const int8_t *)w->weight + at,
                                    p->model->embedding_scales[token], d);
            round_half(p, out, d);
        } else if (w->dtype == QM_F32) {
            memcpy(out, (const float *)w->weight + at, d * sizeof *out);
        } else if (w->dtype == QM_F16) {
            qm_widen_f16_scalar(out, (const uint16_t *)w->weight + at, d);
        } else {
            qm_widen_bf16_scalar(out, (const uint16_t *)w->weight + at, d);
        }
    }
}

void qm_trace_norm(qm_trace_piece *p)
{
    const size_t d = (size_t)p->config->d_model;
    for (size_t r = 0; r < p->n_rows; r++) {
        float *y = p->quantized ? p->row : qm_trace_numbers(p, QM_AT_NORM_OUT, r);
        qm_rms_norm_f32_scalar(y, qm_trace_numbers(p, QM_AT_RESIDUAL_IN, r), p->l->norm,
                               (float)p->config->norm_eps, d);
        if (p->quantized)
            qm_quantize_even_i8_scalar(qm_trace_codes(p, QM_AT_NORM_OUT, r), y, p->l->scales.in, d);
        else
            round_half(p, y, d);
    }
}

/* One half of in_proj from its sums. */
static void in_proj_half(const qm_trace_piece *p, size_t r, bool z)
{
    const qm_linear *w = &p->l->in_proj;
    const qm_trace_edge edge = z ? QM_AT_IN_PROJ_Z : QM_AT_IN_PROJ_X;
    const size_t e = inner(p);
    const int32_t *acc = (const int32_t *)qm_trace_row(p, QM_AT_IN_PROJ_ACC, r) + (z ? e : 0);
    if (p->dtype[edge] == QM_I8) {
        qm_requantize_i8_scalar(qm_trace_codes(p, edge, r), acc, w->a, w->b, e);
        return;
    }
    float *y = qm_trace_numbers(p, edge, r);
    if (!z && p->knobs->ip == QM_IP_F16) {
        qm_rescale_f16_scalar(y, acc, w->b, p->l->scales.in, e);
        return;
    }
    for (size_t i = 0; i < e; i++)
        y[i] = p->l->scales.in * (w->b * (float)acc[i]);
}

void qm_trace_in_proj(qm_trace_piece *p)
{
    const size_t e = inner(p);
    for (size_t r = 0; r < p->n_rows; r++) {
        if (p->quantized) {
            code_products(p, &p->l->in_proj, qm_trace_row(p, QM_AT_IN_PROJ_ACC, r),
                          qm_trace_codes(p, QM_AT_NORM_OUT, r));
            in_proj_half(p, r, false);
            in_proj_half(p, r, true);
            continue;
        }
        float_products(p, &p->l->in_proj, p->row, qm_trace_numbers(p, QM_AT_NORM_OUT, r));
        round_half(p, p->row, 2 * e);
        memcpy(qm_trace_numbers(p, QM_AT_IN_PROJ_X, r), p->row, e * sizeof(float));
        memcpy(qm_trace_numbers(p, QM_AT_IN_PROJ_Z, r), p->row + e, e * sizeof(float));
    }
}

/* ---- convolution ------------------------------------------------------------------------------
 */

static float largest(const float *x, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

void qm_trace_conv_in(qm_trace_piece *p)
{
    const size_t e = inner(p);
    if (p->dtype[QM_AT_IN_PROJ_X] == p->dtype[QM_AT_CONV_IN]) { /* codes, or numbers throughout */
        memcpy(p->data[QM_AT_CONV_IN], p->data[QM_AT_IN_PROJ_X],
               p->n_rows * e * qm_dtype_size(p->dtype[QM_AT_CONV_IN]));
        return;
    }
    const bool together = p->knobs->cin == QM_CIN_DYN_TENSOR && !p->step;
    for (size_t r = 0; r < p->n_rows; r++) {
        float scale = p->l->scales.x;
        if (p->knobs->cin != QM_CIN_STATIC) {
            const float m = largest(qm_trace_numbers(p, QM_AT_IN_PROJ_X, together ? 0 : r),
                                    together ? p->n_rows * e : e);
            scale = m > 0.0f ? m / 127.0f : 1.0f;
            *qm_trace_numbers(p, QM_AT_CONV_IN_SCALE, r) = scale;
        }
        qm_quantize_even_i8_scalar(qm_trace_codes(p, QM_AT_CONV_IN, r),
                                   qm_trace_numbers(p, QM_AT_IN_PROJ_X, r), scale, e);
    }
}

/* Tap k of token r: the past's, or the piece's. */
static const void *tap(const qm_trace_piece *p, size_t r, size_t k)
{
    const size_t before = (size_t)p->config->d_conv - 1;
    const size_t size = inner(p) * qm_dtype_size(p->dtype[QM_AT_CONV_IN]);
    if (r + k >= before) return qm_trace_row(p, QM_AT_CONV_IN, r + k - before);
    return (const char *)p->past->conv + (r + k) * size;
}

static float tap_scale(const qm_trace_piece *p, size_t r, size_t k)
{
    const size_t before = (size_t)p->config->d_conv - 1;
    if (p->knobs->cin == QM_CIN_STATIC) return p->l->scales.x;
    if (r + k >= before) return *qm_trace_numbers(p, QM_AT_CONV_IN_SCALE, r + k - before);
    return p->past->scales[r + k];
}

/* fl(weight scale * scale of the taps); 0 where the taps have several.  A tap before the first
 * token is 0 at any scale. */
static float common_factor(const qm_trace_piece *p, size_t r)
{
    float common = 0.0f;
    if (p->knobs->cin == QM_CIN_STATIC) return p->l->conv_factor;
    for (size_t k = 0; k < (size_t)p->config->d_conv; k++) {
        const float scale = tap_scale(p, r, k);
        if (scale == 0.0f || scale == common) continue;
        if (common > 0.0f) return 0.0f;
        common = scale;
    }
    return p->l->scales.w * common;
}

static void sums_of_codes(const qm_trace_piece *p, size_t r, int32_t *acc)
{
    const size_t e = inner(p);
    memset(acc, 0, e * sizeof *acc);
    for (size_t k = 0; k < (size_t)p->config->d_conv; k++) {
        const int8_t *x = tap(p, r, k), *w = p->l->conv_codes + k * e;
        for (size_t d = 0; d < e; d++)
            acc[d] += (int32_t)w[d] * (int32_t)x[d];
    }
}

static void convolve_codes(const qm_trace_piece *p, size_t r, float *pre)
{
    const size_t e = inner(p);
    const float factor = common_factor(p, r), *bias = p->l->conv_bias;
    if (factor > 0.0f) {
        int32_t *acc =
            p->data[QM_AT_CONV_ACC] ? qm_trace_row(p, QM_AT_CONV_ACC, r) : (void *)p->acc;
        sums_of_codes(p, r, acc);
        for (size_t d = 0; d < e; d++)
            pre[d] = fmaf(factor, (float)acc[d], bias[d]);
        return;
    }
    memcpy(pre, bias, e * sizeof *pre);
    for (size_t k = 0; k < (size_t)p->config->d_conv; k++) {
        const int8_t *x = tap(p, r, k), *w = p->l->conv_codes + k * e;
        const float scale = p->l->scales.w * tap_scale(p, r, k);
        for (size_t d = 0; d < e; d++)
            pre[d] = fmaf(scale * (float)w[d], (float)x[d], pre[d]);
    }
}

static void convolve_numbers(const qm_trace_piece *p, size_t r, float *pre)
{
    const size_t e = inner(p), width = (size_t)p->config->d_conv;
    const float *taps[QM_MAX_CONV], *weight = p->l->conv;
    for (size_t k = 0; k < width; k++) {
        taps[k] = tap(p, r, k);
        if (!p->quantized) continue;
        float *w = p->taps + k * e, *x = p->taps + (width + k) * e;
        qm_dequantize_i8_scalar(w, p->l->conv_codes + k * e, p->l->scales.w, e);
        qm_dequantize_i8_scalar(x, tap(p, r, k), tap_scale(p, r, k), e);
        taps[k] = x;
    }
    if (p->quantized) weight = p->taps;
    qm_conv_f32_scalar(pre, taps, weight, e, p->l->conv_bias, e, width);
}

static void activate(const qm_trace_piece *p, size_t r)
{
    const size_t e = inner(p);
    const float *pre = qm_trace_numbers(p, QM_AT_CONV_PRE, r);
    float *v = qm_trace_numbers(p, QM_AT_CONV_SILU, r);
    if (p->quantized && p->knobs->conv == QM_CONV_DEQ) { /* times the sigmoid, as upstream there */
        for (size_t d = 0; d < e; d++)
            v[d] = 1.0f;
        qm_gate_sigmoid_f32_scalar(v, pre, e);
        return;
    }
    memcpy(v, pre, e * sizeof *v);
    qm_silu_f32_scalar(v, e);
}

static void quantize_u(const qm_trace_piece *p, int8_t *codes, const float *v)
{
    if (p->knobs->rnd == QM_RND_EVEN)
        qm_quantize_even_i8_scalar(codes, v, p->l->scales.u, inner(p));
    else
        qm_quantize_away_i8_scalar(codes, v, p->l->scales.u, inner(p));
}

/* conv_out, x_proj_in and scan_in of one token; s2: the grid's second scale. */
static void hand_on(const qm_trace_piece *p, size_t r, float s2)
{
    const size_t e = inner(p);
    const qm_knobs *k = p->knobs;
    const float *v = qm_trace_numbers(p, QM_AT_CONV_SILU, r);
    float *u = qm_trace_numbers(p, QM_AT_SCAN_IN, r);
    void *x = qm_trace_row(p, QM_AT_X_PROJ_IN, r);
    if (k->grid == QM_GRID_I8) {
        int8_t *codes = qm_trace_codes(p, QM_AT_CONV_OUT, r);
        quantize_u(p, codes, v);
        qm_dequantize_i8_scalar(u, codes, p->l->scales.u, e);
        memcpy(x, codes, e);
    } else {
        float *out = qm_trace_numbers(p, QM_AT_CONV_OUT, r);
        memcpy(out, v, e * sizeof *out);
        qm_grid_apply(k->grid, k->rnd, out, e, p->l->scales.u, s2);
        if (k->xp == QM_XP_VAL)
            memcpy(x, out, e * sizeof *out);
        else
            quantize_u(p, x, k->xp == QM_XP_REQ_GRID ? out : v);
        memcpy(u, out, e * sizeof *out);
    }
    if (k->u == QM_U_DEQ_REQ || k->u == QM_U_REQ) {
        quantize_u(p, p->codes, u);
        qm_dequantize_i8_scalar(u, p->codes, p->l->scales.u, e);
    }
}

void qm_trace_conv(qm_trace_piece *p)
{
    const size_t e = inner(p);
    for (size_t r = 0; r < p->n_rows; r++) {
        float *pre = qm_trace_numbers(p, QM_AT_CONV_PRE, r);
        if (p->quantized && p->knobs->conv == QM_CONV_INT)
            convolve_codes(p, r, pre);
        else
            convolve_numbers(p, r, pre);
        activate(p, r);
    }
    float s2 = p->l->scales.u_unclipped;
    if (p->quantized && p->knobs->grid == QM_GRID_DUAL) { /* the piece: a prompt, or one step */
        const float *v = p->data[QM_AT_CONV_SILU];
        const float s = p->l->scales.u;
        s2 = qm_grid_second_scale(qm_grid_largest_outlier(p->knobs->rnd, v, p->n_rows * e, s), s);
    }
    for (size_t r = 0; r < p->n_rows; r++) {
        if (!p->quantized) {
            float *out = qm_trace_numbers(p, QM_AT_CONV_OUT, r);
            memcpy(out, qm_trace_numbers(p, QM_AT_CONV_SILU, r), e * sizeof *out);
            round_half(p, out, e);
            continue;
        }
        if (p->knobs->grid == QM_GRID_DUAL) *qm_trace_numbers(p, QM_AT_GRID_SCALE, r) = s2;
        hand_on(p, r, s2);
    }
}

/* ---- x_proj and dt_proj -----------------------------------------------------------------------
 */

/* x_proj of one token of a mode that multiplies numbers. */
static void x_proj_numbers(const qm_trace_piece *p, size_t r, float *out, size_t n)
{
    const float *x = qm_trace_row(p, QM_AT_X_PROJ_IN, r);
    if (p->dtype[QM_AT_X_PROJ_IN] == QM_I8) {
        qm_dequantize_i8_scalar(p->taps, qm_trace_codes(p, QM_AT_X_PROJ_IN, r), p->l->scales.u,
                                inner(p));
        x = p->taps;
    }
    dequantized_products(p, &p->l->x_proj, out, x);
    if (p->knobs->bc != QM_BC_F32 && p->knobs->bc != QM_BC_I8LATE) snap(p, out, p->l->scales.b, n);
}

/* B and C of one token as the scan reads them. */
static void scan_vectors(const qm_trace_piece *p, size_t r)
{
    const size_t rank = (size_t)p->config->dt_rank, n = (size_t)p->config->d_state;
    float *b = qm_trace_numbers(p, QM_AT_SCAN_B, r), *c = qm_trace_numbers(p, QM_AT_SCAN_C, r);
    if (p->dtype[QM_AT_X_PROJ_OUT] == QM_I8) {
        const int8_t *codes = qm_trace_codes(p, QM_AT_X_PROJ_OUT, r) + rank;
        qm_dequantize_i8_scalar(b, codes, p->l->scales.b, n);
        qm_dequantize_i8_scalar(c, codes + n, p->l->scales.c, n);
        return;
    }
    const float *from = qm_trace_numbers(p, QM_AT_X_PROJ_OUT, r) + rank;
    memcpy(b, from, n * sizeof *b);
    memcpy(c, from + n, n * sizeof *c);
    if (p->quantized && p->knobs->bc == QM_BC_I8LATE) {
        snap(p, b, p->l->scales.b, n);
        snap(p, c, p->l->scales.c, n);
    }
}

void qm_trace_x_proj(qm_trace_piece *p)
{
    const size_t n = p->n_cols[QM_AT_X_PROJ_OUT];
    const qm_linear *w = &p->l->x_proj;
    for (size_t r = 0; r < p->n_rows; r++) {
        if (!p->quantized) {
            float *out = qm_trace_numbers(p, QM_AT_X_PROJ_OUT, r);
            float_products(p, w, out, qm_trace_numbers(p, QM_AT_CONV_OUT, r));
            round_half(p, out, n);
        } else if (p->knobs->lin == QM_LIN_INT8) {
            int32_t *acc = qm_trace_row(p, QM_AT_X_PROJ_ACC, r);
            code_products(p, w, acc, qm_trace_codes(p, QM_AT_X_PROJ_IN, r));
            qm_requantize_i8_scalar(qm_trace_codes(p, QM_AT_X_PROJ_OUT, r), acc, w->b, w->a, n);
        } else {
            x_proj_numbers(p, r, qm_trace_numbers(p, QM_AT_X_PROJ_OUT, r), n);
        }
        scan_vectors(p, r);
    }
}

static void dt_proj_numbers(const qm_trace_piece *p, size_t r)
{
    const size_t e = inner(p);
    const float scale = p->l->scales.dt;
    float *out =
        p->dtype[QM_AT_DT_PROJ_OUT] == QM_I8 ? p->taps : qm_trace_numbers(p, QM_AT_DT_PROJ_OUT, r);
    dequantized_products(p, &p->l->dt_proj, out, qm_trace_numbers(p, QM_AT_X_PROJ_OUT, r));
    if (p->dtype[QM_AT_DT_PROJ_OUT] == QM_I8)
        qm_quantize_even_i8_scalar(qm_trace_codes(p, QM_AT_DT_PROJ_OUT, r), out, scale, e);
    else if (p->knobs->bc == QM_BC_VQ)
        snap(p, out, scale, e);
}

/* delta = softplus(dt + bias) in the form that the mode's scan has. */
static void time_step(const qm_trace_piece *p, size_t r)
{
    const size_t e = inner(p);
    float *delta = qm_trace_numbers(p, QM_AT_DELTA, r);
    const qm_state kept = p->knobs->state;
    const bool step8 = p->quantized && p->step && kept != QM_STATE_F16 && kept != QM_STATE_F32;
    const bool log_form = p->quantized ? step8 : p->step && !p->model->datapath->step_log1p;
    if (p->dtype[QM_AT_DT_PROJ_OUT] == QM_I8) {
        const int8_t *codes = qm_trace_codes(p, QM_AT_DT_PROJ_OUT, r);
        if (p->knobs->scan == QM_SCAN_FUSED && !step8) {
            qm_affine_i8_scalar(delta, codes, p->l->scales.dt, p->l->dt_bias, e);
            qm_softplus_f32_scalar(delta, NULL, e);
            return;
        }
        qm_dequantize_i8_scalar(delta, codes, p->l->scales.dt, e);
    } else {
        memcpy(delta, qm_trace_numbers(p, QM_AT_DT_PROJ_OUT, r), e * sizeof *delta);
    }
    if (log_form)
        qm_softplus_log_f32_scalar(delta, p->l->dt_bias, e);
    else
        qm_softplus_f32_scalar(delta, p->l->dt_bias, e);
}

void qm_trace_dt_proj(qm_trace_piece *p)
{
    const qm_linear *w = &p->l->dt_proj;
    for (size_t r = 0; r < p->n_rows; r++) {
        if (!p->quantized) {
            float *out = qm_trace_numbers(p, QM_AT_DT_PROJ_OUT, r);
            float_products(p, w, out, qm_trace_numbers(p, QM_AT_X_PROJ_OUT, r));
            round_half(p, out, inner(p));
        } else if (p->knobs->lin == QM_LIN_INT8) {
            int32_t *acc = qm_trace_row(p, QM_AT_DT_PROJ_ACC, r);
            code_products(p, w, acc, qm_trace_codes(p, QM_AT_X_PROJ_OUT, r));
            qm_requantize_i8_scalar(qm_trace_codes(p, QM_AT_DT_PROJ_OUT, r), acc, w->a, w->b,
                                    inner(p));
        } else {
            dt_proj_numbers(p, r);
        }
        time_step(p, r);
    }
}

/* ---- behind the scan --------------------------------------------------------------------------
 */

void qm_trace_rotate(qm_trace_piece *p)
{
    const size_t e = inner(p);
    const float factor = qm_trace_hadamard_factor(p->model, p->layer);
    for (size_t r = 0; r < p->n_rows; r++) {
        float *y = qm_trace_numbers(p, QM_AT_HADAMARD_PRE, r);
        memcpy(y, qm_trace_numbers(p, QM_AT_SCAN_OUT, r), e * sizeof *y);
        qm_hadamard_f32_scalar(y, p->row, p->rotation.signs, (size_t)p->rotation.m,
                               (size_t)p->rotation.width, factor);
        qm_quantize_away_i8_scalar(qm_trace_codes(p, QM_AT_HADAMARD_OUT, r), y, 1.0f, e);
    }
}

void qm_trace_out_proj(qm_trace_piece *p)
{
    const qm_linear *w = &p->l->out_proj;
    const size_t d = (size_t)p->config->d_model;
    for (size_t r = 0; r < p->n_rows; r++) {
        float *out = qm_trace_numbers(p, QM_AT_OUT_PROJ_OUT, r);
        if (p->quantized) {
            int32_t *acc = qm_trace_row(p, QM_AT_OUT_PROJ_ACC, r);
            code_products(p, w, acc, qm_trace_codes(p, QM_AT_HADAMARD_OUT, r));
            qm_rescale_f16_scalar(out, acc, w->b, w->a, d);
        } else {
            float_products(p, w, out, qm_trace_numbers(p, QM_AT_SCAN_OUT, r));
            round_half(p, out, d);
        }
    }
}

void qm_trace_residual(qm_trace_piece *p)
{
    const float *in = p->data[QM_AT_RESIDUAL_IN], *added = p->data[QM_AT_OUT_PROJ_OUT];
    float *out = p->data[QM_AT_RESIDUAL];
    for (size_t i = 0; i < p->n_rows * (size_t)p->config->d_model; i++)
        out[i] = in[i] + added[i];
}

/* ---- head -------------------------------------------------------------------------------------
 */

void qm_trace_norm_f(qm_trace_piece *p, const float *stream)
{
    const quamba_model *m = p->model;
    const size_t d = (size_t)p->config->d_model;
    float *y = p->row;
    qm_rms_norm_f32_scalar(y, stream, m->norm_f, (float)p->config->norm_eps, d);
    if (m->norm_f_kind == QM_NORM_F_DEQUANT) {
        const float step = largest(y, d) / 127.0f;
        if (step > 0.0f) snap(p, y, step, d);
    }
    if (m->head.dtype == QM_I8) {
        qm_quantize_even_i8_scalar(p->data[QM_AT_NORM_F_OUT], y, qm_trace_norm_f_scale(m), d);
        return;
    }
    round_half(p, y, d);
    memcpy(p->data[QM_AT_NORM_F_OUT], y, d * sizeof *y);
}

void qm_trace_logits(qm_trace_piece *p)
{
    const quamba_model *m = p->model;
    const size_t n = (size_t)p->config->n_vocab;
    float *out = p->data[QM_AT_LOGITS];
    if (m->head.dtype == QM_I8) {
        code_products(p, &m->head, p->acc, p->data[QM_AT_NORM_F_OUT]);
        qm_rescale_f16_scalar(out, p->acc, m->head.b, m->head.a, n);
    } else {
        float_products(p, &m->head, out, p->data[QM_AT_NORM_F_OUT]);
        round_half(p, out, n);
    }
    if (!m->head_bias) return;
    for (size_t j = 0; j < n; j++)
        out[j] += m->head_bias[j];
    round_half(p, out, n);
}
