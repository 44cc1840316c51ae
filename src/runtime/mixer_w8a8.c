/* The mixer of quantized models: INT8 codes from operator to operator, FP32 inside them. */
#include "runtime/pass.h"

#include <math.h>
#include <string.h>

static void norm_codes(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_layer *l = &s->model->layers[layer];
    const size_t d = (size_t)s->model->config.d_model;
    qm_range rows = qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *y = s->hidden + (size_t)i * d;
        s->kernels.rms_norm_f32(y, s->residual + (size_t)i * d, l->norm,
                                (float)s->model->config.norm_eps, d);
        qm_count_lost(
            t, i, QM_EDGE_NORM_OUT, layer,
            s->kernels.quantize_even_i8(s->codes.norm + (size_t)i * d, y, l->scales.in, d));
    }
}

/* Convolution, SiLU and quantization of one segment on channels [begin, end), the scan's u from the
 * codes, and the inputs the segment leaves behind. */
static void convolve(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const size_t e = (size_t)c->d_inner, width = (size_t)c->d_conv,
                 n = (size_t)(range.end - range.begin), at = (size_t)range.begin;
    int8_t *state = seg->session->conv_codes + (size_t)layer * width * e + at;
    const int8_t *x = s->codes.xz + (size_t)seg->first_row * 2 * e + at;
    const int8_t *taps[QM_MAX_CONV];
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        for (size_t k = 0; k < width;
             k++) /* token r - (width-1) + k, before the segment: the state */
            taps[k] = r + k + 1 < width ? state + (r + k + 1) * e : x + (r + k + 1 - width) * 2 * e;
        const size_t row = (size_t)seg->first_row + r;
        float *v = s->conv + row * e + at;
        int8_t *codes = s->codes.u + row * e + at;
        s->kernels.conv_i8(v, taps, l->conv_codes + at, e, l->conv_factor, l->conv_bias + at, n,
                           width);
        s->kernels.silu_f32(v, n);
        qm_count_lost(t, (int32_t)row, QM_EDGE_CONV_OUT, layer,
                      s->kernels.quantize_away_i8(codes, v, l->scales.u, n));
        s->kernels.dequantize_i8(v, codes, l->scales.u, n);
    }
    for (size_t k = 0; k < width; k++) { /* oldest first, so a row is read before it is replaced */
        size_t from = (size_t)seg->n_rows + k; /* in state rows, then in new rows */
        const int8_t *source = from < width ? state + from * e : x + (from - width) * 2 * e;
        memmove(state + k * e, source, n);
    }
}

/* The state as a device keeps it between steps.  After a step the code is formed as upstream forms
 * it, 100 h / 100 s to even; at the hand-over from a prefill h / s, ties away from zero. */
static void round_state(const qm_thread *t, const qm_segment *seg, int32_t layer, float *state,
                        size_t n, bool handed_over)
{
    const quamba_session *s = t->s;
    const size_t e = (size_t)s->model->config.d_inner;
    const float scale = s->model->layers[layer].scales.h;
    for (int32_t k = 0; k < s->model->config.d_state; k++) {
        float *h = state + (size_t)k * e;
        size_t lost;
        if (handed_over) {
            lost = s->kernels.quantize_away_i8(t->state_codes, h, scale, n);
        } else {
            for (size_t i = 0; i < n; i++)
                t->z[i] = h[i] * 100.0f;
            lost = s->kernels.quantize_even_i8(t->state_codes, t->z, scale * 100.0f, n);
        }
        s->kernels.dequantize_i8(h, t->state_codes, scale, n);
        qm_count_lost(t, seg->first_row, QM_EDGE_SSM_STATE, layer, lost);
    }
}

/* delta, from codes: a prefill adds the bias by fma inside log1p(exp), a step rounds the product
 * first and takes log(exp + 1). */
static void time_step(const qm_thread *t, const qm_layer *l, bool step, float *delta,
                      const int8_t *codes, const float *bias, size_t n)
{
    if (step) {
        t->s->kernels.dequantize_i8(delta, codes, l->scales.dt, n);
        t->s->kernels.softplus_log_f32(delta, bias, n);
    } else {
        t->s->kernels.affine_i8(delta, codes, l->scales.dt, bias, n);
        t->s->kernels.softplus_f32(delta, NULL, n);
    }
}

/* Time step, scan and gate of one segment on channels [begin, end); y as half values. */
static void scan(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const size_t e = (size_t)c->d_inner, n_state = (size_t)c->d_state,
                 n = (size_t)(range.end - range.begin), at = (size_t)range.begin;
    const size_t n_bc = (size_t)c->dt_rank + 2 * n_state;
    const bool step = seg->decode && s->model->datapath->knobs.state == QM_STATE_I8END;
    float *state = seg->session->ssm_state + (size_t)layer * n_state * e + at;
    if (step && !seg->session->on_grid) round_state(t, seg, layer, state, n, true);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        const size_t row = (size_t)seg->first_row + r;
        const int8_t *bc = s->codes.x_dbl + row * n_bc + (size_t)c->dt_rank;
        time_step(t, l, step, s->delta + row * e + at, s->codes.dt + row * e + at, l->dt_bias + at,
                  n);
        s->kernels.dequantize_i8(t->bc + r * 2 * n_state, bc, l->scales.b, n_state);
        s->kernels.dequantize_i8(t->bc + r * 2 * n_state + n_state, bc + n_state, l->scales.c,
                                 n_state);
    }
    const size_t first = (size_t)seg->first_row * e + at;
    const qm_scan_f32_args args = {.y = s->xz + first,
                                   .h = state,
                                   .u = s->conv + first,
                                   .delta = s->delta + first,
                                   .a = l->a + at,
                                   .b = t->bc,
                                   .c = t->bc + n_state,
                                   .d = l->d + at,
                                   .ld_y = e,
                                   .ld_u = e,
                                   .ld_delta = e,
                                   .ld_bc = 2 * n_state,
                                   .ld_state = e,
                                   .n_rows = (size_t)seg->n_rows,
                                   .n = n,
                                   .d_state = n_state};
    if (step)
        s->kernels.scan_ref_f32(&args);
    else
        s->kernels.scan_f32(&args);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        float *y = s->xz + first + r * e;
        const int8_t *z = s->codes.xz + ((size_t)seg->first_row + r) * 2 * e + e + at;
        s->kernels.dequantize_i8(t->z, z, l->scales.z, n);
        if (step)
            s->kernels.gate_sigmoid_f32(y, t->z, n);
        else
            s->kernels.gate_f32(y, t->z, n);
        s->kernels.round_f16(y, n);
    }
    if (step) round_state(t, seg, layer, state, n, false);
}

/* Rotates y in place and quantizes it, over codes.u, which nobody needs any more. */
static void rotate(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const size_t e = (size_t)s->model->config.d_inner;
    const qm_rotation *turn = &s->rotation;
    /* upstream forms the factor in double */
    const float factor = (float)(1.0 / sqrt((double)e) / (double)s->model->layers[layer].scales.o);
    qm_range rows = qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *y = s->xz + (size_t)i * e;
        s->kernels.hadamard_f32(y, t->z, turn->signs, (size_t)turn->m, (size_t)turn->width, factor);
        qm_count_lost(t, i, QM_EDGE_HADAMARD_OUT, layer,
                      s->kernels.quantize_away_i8(s->codes.u + (size_t)i * e, y, 1.0f, e));
    }
}

void qm_mix_w8a8(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const int32_t e = c->d_inner, d = c->d_model, n_bc = c->dt_rank + 2 * c->d_state;
    const int32_t n_rows = t->pass->n_rows;
    const size_t ld_xz = 2 * (size_t)e, ld_bc = (size_t)n_bc;
    const qm_range channels = qm_share(t, e, QM_CHANNEL_ALIGN);
    const qm_range outputs = qm_share(t, d, QM_CHANNEL_ALIGN);
    const qm_range part = qm_share(t, n_bc, 1);
    const int32_t n = channels.end - channels.begin;

    qm_foresee(t, &l->in_proj, channels.begin, n);
    norm_codes(t, layer);
    qm_meet(t);
    qm_show_codes(t, QM_EDGE_NORM_OUT, layer, s->codes.norm, l->scales.in, (size_t)d, d);
    for (int32_t half = 0; half < 2; half++) /* this thread's channels of x, then of z */
        qm_linear_codes(t, &l->in_proj, QM_FIRST_A, QM_EDGE_IN_PROJ_OUT, layer,
                        half * e + channels.begin, n, s->codes.xz + half * e + channels.begin,
                        ld_xz, s->codes.norm, (size_t)d, 0, n_rows);
    qm_show_codes(t, QM_EDGE_IN_PROJ_OUT, layer, s->codes.xz, l->scales.x, ld_xz, 2 * e);
    qm_foresee(t, &l->x_proj, part.begin, part.end - part.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        convolve(t, &t->pass->segments[i], layer, channels);
    qm_meet(t);
    qm_show_codes(t, QM_EDGE_CONV_OUT, layer, s->codes.u, l->scales.u, (size_t)e, e);
    /* x_proj has few outputs: share the rows when there are many, else the outputs. */
    if (n_rows >= QM_PANEL_ROWS) {
        qm_range rows = qm_share(t, n_rows, 1);
        qm_linear_codes(t, &l->x_proj, QM_FIRST_B, QM_EDGE_X_PROJ_OUT, layer, 0, n_bc,
                        s->codes.x_dbl + (size_t)rows.begin * ld_bc, ld_bc,
                        s->codes.u + (size_t)rows.begin * (size_t)e, (size_t)e, rows.begin,
                        rows.end - rows.begin);
    } else {
        qm_linear_codes(t, &l->x_proj, QM_FIRST_B, QM_EDGE_X_PROJ_OUT, layer, part.begin,
                        part.end - part.begin, s->codes.x_dbl + part.begin, ld_bc, s->codes.u,
                        (size_t)e, 0, n_rows);
    }
    qm_foresee(t, &l->dt_proj, channels.begin, n);
    qm_meet(t);
    qm_show_codes(t, QM_EDGE_X_PROJ_OUT, layer, s->codes.x_dbl, l->scales.b, ld_bc, n_bc);
    qm_linear_codes(t, &l->dt_proj, QM_FIRST_A, QM_EDGE_DT_PROJ_OUT, layer, channels.begin, n,
                    s->codes.dt + channels.begin, (size_t)e, s->codes.x_dbl, ld_bc, 0, n_rows);
    qm_show_codes(t, QM_EDGE_DT_PROJ_OUT, layer, s->codes.dt, l->scales.dt, (size_t)e, e);
    qm_foresee(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        scan(t, &t->pass->segments[i], layer, channels);
    qm_meet(t);
    qm_show(t, QM_EDGE_SCAN_OUT, layer, s->xz, (size_t)e, e);
    qm_show_state(t, layer);
    rotate(t, layer);
    qm_meet(t);
    qm_show_codes(t, QM_EDGE_HADAMARD_OUT, layer, s->codes.u, l->scales.o, (size_t)e, e);
    qm_linear_half(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin,
                   s->hidden + outputs.begin, (size_t)d, s->codes.u, (size_t)e, n_rows);
    qm_show(t, QM_EDGE_OUT_PROJ_OUT, layer, s->hidden, (size_t)d, d);
    qm_add_residual(t, outputs);
    qm_meet(t);
    qm_show(t, QM_EDGE_RESIDUAL, layer, s->residual, (size_t)d, d);
}
