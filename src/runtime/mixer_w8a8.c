/* The mixer of quantized models: INT8 codes from operator to operator, FP32 inside them. */
#include "base/fmath.h"
#include "runtime/pass.h"

#include <math.h>
#include <string.h>

/* The one row of a decode step is normed, and rotated, by every thread for itself in its own panel,
 * which products of one row leave alone: sooner done than waited for. */
static bool is_single(const qm_thread *t) { return t->pass->n_rows == 1; }

static int8_t *own_codes(const qm_thread *t)
{
    return (int8_t *)(t->panel + qm_panel_floats(&t->s->model->config) / 2);
}

/* Returns the codes of all rows, when they are there. */
static const int8_t *norm_codes(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_layer *l = &s->model->layers[layer];
    const size_t d = (size_t)s->model->config.d_model;
    const bool single = is_single(t);
    float *hidden = single ? t->panel : s->hidden;
    int8_t *codes = single ? own_codes(t) : s->codes.norm;
    qm_range rows = single ? (qm_range){0, 1} : qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *y = hidden + (size_t)i * d;
        s->kernels.rms_norm_f32(y, s->residual + (size_t)i * d, l->norm,
                                (float)s->model->config.norm_eps, d);
        size_t lost = s->kernels.quantize_even_i8(codes + (size_t)i * d, y, l->scales.in, d);
        if (!single || t->id == 0) qm_count_lost(t, i, QM_EDGE_NORM_OUT, layer, lost);
    }
    if (!single) qm_meet(t);
    return codes;
}

/* in_proj on this thread's channels: codes, or where the row wants them numbers, of x and of z. */
static void project_in(const qm_thread *t, int32_t layer, qm_range channels, const int8_t *norm)
{
    const quamba_session *s = t->s;
    const qm_layer *l = &s->model->layers[layer];
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const int32_t e = s->model->config.d_inner, d = s->model->config.d_model;
    const int32_t n = channels.end - channels.begin, n_rows = t->pass->n_rows;
    for (int32_t half = 0; half < 2; half++) { /* x, then z */
        const int32_t first = half * e + channels.begin;
        if (half ? knobs->z == QM_Z_I8 : knobs->ip == QM_IP_I8)
            qm_linear_codes(t, &l->in_proj, QM_FIRST_A, QM_EDGE_IN_PROJ_OUT, layer, first, n,
                            s->codes.xz + first, 2 * (size_t)e, norm, (size_t)d, 0, n_rows);
        else
            qm_linear_numbers(t, &l->in_proj, l->scales.in, !half && knobs->ip == QM_IP_F16, first,
                              n, (half ? s->z_numbers : s->x) + channels.begin, (size_t)e, norm,
                              (size_t)d, n_rows);
    }
}

/* FP32 values onto the INT8 grid of scale, where they stay FP32; returns how many saturated. */
static size_t snap(const qm_thread *t, float *y, float scale, size_t n)
{
    const size_t most = (size_t)t->s->model->config.d_inner; /* width of the scratch */
    size_t lost = 0;
    for (size_t i = 0, width; i < n; i += width) {
        width = n - i < most ? n - i : most;
        lost += t->s->kernels.quantize_even_i8(t->state_codes, y + i, scale, width);
        t->s->kernels.dequantize_i8(y + i, t->state_codes, scale, width);
    }
    return lost;
}

/* x_proj of the rows and outputs given. */
static void project_x(const qm_thread *t, int32_t layer, qm_range rows, qm_range outputs)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const size_t e = (size_t)c->d_inner, ld = (size_t)(c->dt_rank + 2 * c->d_state);
    const size_t first = (size_t)rows.begin * ld + (size_t)outputs.begin;
    const int32_t n = outputs.end - outputs.begin, n_rows = rows.end - rows.begin;
    if (knobs->lin == QM_LIN_INT8)
        qm_linear_codes(t, &l->x_proj, QM_FIRST_B, QM_EDGE_X_PROJ_OUT, layer, outputs.begin, n,
                        s->codes.x_dbl + first, ld, s->codes.u + (size_t)rows.begin * e, e,
                        rows.begin, n_rows);
    else
        qm_linear_dequantized(t, &l->x_proj, outputs.begin, n, s->x_dbl + first, ld,
                              s->xp_numbers + (size_t)rows.begin * e, e, n_rows);
    if (knobs->lin == QM_LIN_INT8 || knobs->bc == QM_BC_F32 || knobs->bc == QM_BC_I8LATE) return;
    for (int32_t i = 0; i < n_rows; i++)
        qm_count_lost(t, rows.begin + i, QM_EDGE_X_PROJ_OUT, layer,
                      snap(t, s->x_dbl + first + (size_t)i * ld, l->scales.b, (size_t)n));
}

/* dt_proj on this thread's channels: codes or, in delta, numbers. */
static void project_dt(const qm_thread *t, int32_t layer, qm_range channels)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const size_t e = (size_t)c->d_inner, ld = (size_t)(c->dt_rank + 2 * c->d_state);
    const int32_t n = channels.end - channels.begin, n_rows = t->pass->n_rows;
    if (knobs->lin == QM_LIN_INT8) {
        qm_linear_codes(t, &l->dt_proj, QM_FIRST_A, QM_EDGE_DT_PROJ_OUT, layer, channels.begin, n,
                        s->codes.dt + channels.begin, e, s->codes.x_dbl, ld, 0, n_rows);
        return;
    }
    qm_linear_dequantized(t, &l->dt_proj, channels.begin, n, s->delta + channels.begin, e, s->x_dbl,
                          ld, n_rows);
    for (int32_t i = 0; i < n_rows; i++) {
        const size_t at = (size_t)i * e + (size_t)channels.begin;
        if (knobs->bc == QM_BC_VQ)
            qm_count_lost(t, i, QM_EDGE_DT_PROJ_OUT, layer,
                          snap(t, s->delta + at, l->scales.dt, (size_t)n));
        else if (knobs->bc != QM_BC_F32)
            qm_count_lost(t, i, QM_EDGE_DT_PROJ_OUT, layer,
                          s->kernels.quantize_even_i8(s->codes.dt + at, s->delta + at, l->scales.dt,
                                                      (size_t)n));
    }
}

/* The state as a device keeps it between steps, at the hand-over from a prefill or, in half, after
 * a step.  Upstream forms the code after a step as 100 h / 100 s to even, at the hand-over as h / s
 * with ties away from zero. */
static void round_state(const qm_thread *t, const qm_segment *seg, int32_t layer, float *state,
                        size_t n)
{
    const quamba_session *s = t->s;
    const qm_state kind = s->model->datapath->knobs.state;
    const bool away = kind == QM_STATE_I8STEP_AWAY || kind == QM_STATE_I8END;
    const size_t e = (size_t)s->model->config.d_inner;
    const float scale = s->model->layers[layer].scales.h;
    for (int32_t k = 0; k < s->model->config.d_state; k++) {
        float *h = state + (size_t)k * e;
        size_t lost;
        if (kind == QM_STATE_F16) {
            s->kernels.round_f16(h, n);
            continue;
        }
        if (away) {
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

/* How a token goes through the scan: as the row's prefill does, or as upstream's decode kernel,
 * which belongs to an INT8 state. */
typedef struct recipe {
    qm_scan scan;
    bool step8;
} recipe;

static recipe recipe_of(const qm_thread *t, const qm_segment *seg)
{
    const qm_knobs *knobs = &t->s->model->datapath->knobs;
    return (recipe){.scan = knobs->scan,
                    .step8 = seg->decode && knobs->state != QM_STATE_F16 &&
                             knobs->state != QM_STATE_F32};
}

/* delta = softplus(dt + bias).  From codes, the fused scan adds the bias by fma, the others round
 * the product first; the decode kernel takes log(exp + 1) instead of log1p(exp). */
static void time_step(const qm_thread *t, const qm_layer *l, recipe how, size_t at, size_t n,
                      size_t channel)
{
    const quamba_session *s = t->s;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const bool codes = knobs->bc == QM_BC_I8 || knobs->bc == QM_BC_I8LATE;
    const float *bias = l->dt_bias + channel;
    float *delta = s->delta + at;
    if (codes && how.scan == QM_SCAN_FUSED && !how.step8) {
        s->kernels.affine_i8(delta, s->codes.dt + at, l->scales.dt, bias, n);
        s->kernels.softplus_f32(delta, NULL, n);
        return;
    }
    if (codes) s->kernels.dequantize_i8(delta, s->codes.dt + at, l->scales.dt, n);
    if (how.step8)
        s->kernels.softplus_log_f32(delta, bias, n);
    else
        s->kernels.softplus_f32(delta, bias, n);
}

/* B and C of one token as numbers, [2 d_state]. */
static void input_output_vectors(const qm_thread *t, const qm_layer *l, int32_t layer, int32_t row,
                                 float *bc)
{
    const quamba_session *s = t->s;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const size_t n = (size_t)s->model->config.d_state;
    const size_t rank = (size_t)s->model->config.dt_rank, at = (size_t)row * (rank + 2 * n) + rank;
    if (knobs->lin == QM_LIN_INT8) {
        s->kernels.dequantize_i8(bc, s->codes.x_dbl + at, l->scales.b, n);
        s->kernels.dequantize_i8(bc + n, s->codes.x_dbl + at + n, l->scales.c, n);
        return;
    }
    memcpy(bc, s->x_dbl + at, 2 * n * sizeof *bc);
    if (knobs->bc == QM_BC_I8LATE) {
        size_t lost = snap(t, bc, l->scales.b, n);
        lost += snap(t, bc + n, l->scales.c, n);
        if (t->id == 0)
            qm_count_lost(t, row, QM_EDGE_X_PROJ_OUT, layer, lost); /* all do the same */
    }
}

static void gate(const qm_thread *t, const qm_layer *l, recipe how, size_t row, size_t channel,
                 float *y, size_t n)
{
    const quamba_session *s = t->s;
    const size_t e = (size_t)s->model->config.d_inner;
    const float *z = t->z;
    if (s->model->datapath->knobs.z == QM_Z_I8)
        s->kernels.dequantize_i8(t->z, s->codes.xz + row * 2 * e + e + channel, l->scales.z, n);
    else
        z = s->z_numbers + row * e + channel;
    if (how.step8)
        s->kernels.gate_sigmoid_f32(y, z, n);
    else if (how.scan == QM_SCAN_FUSED)
        s->kernels.gate_f32(y, z, n);
    else
        s->kernels.gate_ref_f32(y, z, n);
    if (s->model->datapath->knobs.y == QM_Y_F16) s->kernels.round_f16(y, n);
}

/* Returns how many codes of an INT8 state were lost after a step. */
static size_t run_scan(const qm_thread *t, const qm_layer *l, recipe how,
                       const qm_scan_f32_args *args)
{
    const qm_kernels *kernels = &t->s->kernels;
    const bool away = t->s->model->datapath->knobs.state == QM_STATE_I8STEP_AWAY;
    if (how.step8) return kernels->scan_step_i8(args, l->scales.h, away);
    if (how.scan == QM_SCAN_REF)
        kernels->scan_ref_f32(args);
    else if (how.scan == QM_SCAN_FUSED)
        kernels->scan_f32(args);
    else if (how.scan == QM_SCAN_SE)
        kernels->scan_se_f32(args);
    else
        kernels->scan_mamba_f32(args);
    return 0;
}

/* A for the scan: as bound, or times log2(e) for the kernel that takes powers of two. */
static const float *decay_rates(const qm_thread *t, const qm_layer *l, recipe how, qm_range range)
{
    const float *a = l->a + range.begin;
    if (how.step8 || how.scan != QM_SCAN_MAMBA) return a;
    const size_t e = (size_t)t->s->model->config.d_inner, n = (size_t)(range.end - range.begin);
    for (size_t k = 0; k < (size_t)t->s->model->config.d_state; k++)
        for (size_t i = 0; i < n; i++)
            t->rates[k * e + i] = a[k * e + i] * QM_LOG2E;
    return t->rates;
}

/* Time step, scan and gate of one segment on channels [begin, end). */
static void scan(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const quamba_session *s = t->s;
    const qm_layer *l = &s->model->layers[layer];
    const size_t e = (size_t)s->model->config.d_inner, n_state = (size_t)s->model->config.d_state,
                 n = (size_t)(range.end - range.begin), at = (size_t)range.begin;
    const recipe how = recipe_of(t, seg);
    const bool rounds = seg->decode && s->model->datapath->knobs.state != QM_STATE_F32;
    float *state = seg->session->ssm_state + (size_t)layer * n_state * e + at;
    if (rounds && !seg->session->on_grid) round_state(t, seg, layer, state, n);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        const size_t row = (size_t)seg->first_row + r;
        time_step(t, l, how, row * e + at, n, at);
        input_output_vectors(t, l, layer, (int32_t)row, t->bc + r * 2 * n_state);
    }
    const size_t first = (size_t)seg->first_row * e + at;
    const size_t lost = run_scan(t, l, how,
                                 &(qm_scan_f32_args){.y = s->xz + first,
                                                     .h = state,
                                                     .u = s->u + first,
                                                     .delta = s->delta + first,
                                                     .a = decay_rates(t, l, how, range),
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
                                                     .d_state = n_state});
    qm_count_lost(t, seg->first_row, QM_EDGE_SSM_STATE, layer, lost);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++)
        gate(t, l, how, (size_t)seg->first_row + r, at, s->xz + first + r * e, n);
    if (rounds && !how.step8) round_state(t, seg, layer, state, n);
}

/* Rotates y and quantizes it; returns the codes of all rows.  Shared ones go over codes.u, which
 * nobody needs any more. */
static const int8_t *rotate(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const size_t e = (size_t)s->model->config.d_inner;
    const qm_rotation *turn = &s->rotation;
    /* upstream forms the factor in double */
    const float factor = (float)(1.0 / sqrt((double)e) / (double)s->model->layers[layer].scales.o);
    const bool single = is_single(t);
    float *numbers = single ? memcpy(t->panel, s->xz, e * sizeof *s->xz) : s->xz;
    int8_t *codes = single ? own_codes(t) : s->codes.u;
    qm_range rows = single ? (qm_range){0, 1} : qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *y = numbers + (size_t)i * e;
        s->kernels.hadamard_f32(y, t->z, turn->signs, (size_t)turn->m, (size_t)turn->width, factor);
        size_t lost = s->kernels.quantize_away_i8(codes + (size_t)i * e, y, 1.0f, e);
        if (!single || t->id == 0) qm_count_lost(t, i, QM_EDGE_HADAMARD_OUT, layer, lost);
    }
    if (!single) qm_meet(t);
    return codes;
}

/* An edge that holds codes in some rows and numbers in others. */
static void show_either(const qm_thread *t, qm_edge edge, int32_t layer, const int8_t *codes,
                        float scale, const float *numbers, int32_t n)
{
    if (codes)
        qm_show_codes(t, edge, layer, codes, scale, (size_t)n, n);
    else
        qm_show(t, edge, layer, numbers, (size_t)n, n);
}

/* x and z together where both are codes, else x alone; then what the convolution reads. */
static void show_in_proj(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_scales *scales = &s->model->layers[layer].scales;
    const int32_t e = s->model->config.d_inner;
    if (s->model->datapath->knobs.ip != QM_IP_I8)
        qm_show(t, QM_EDGE_IN_PROJ_OUT, layer, s->x, (size_t)e, e);
    else
        qm_show_codes(t, QM_EDGE_IN_PROJ_OUT, layer, s->codes.xz, scales->x, 2 * (size_t)e, 2 * e);
}

/* The convolution's output after the grid, what x_proj reads, what the scan reads. */
static void show_conv(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const float scale = s->model->layers[layer].scales.u;
    const int32_t e = s->model->config.d_inner;
    const int8_t *codes = s->codes.u;
    show_either(t, QM_EDGE_CONV_OUT, layer, knobs->grid == QM_GRID_I8 ? codes : NULL, scale,
                s->conv, e);
    show_either(t, QM_EDGE_X_PROJ_IN, layer, knobs->xp != QM_XP_VAL ? codes : NULL, scale,
                s->xp_numbers, e);
    qm_show(t, QM_EDGE_SCAN_IN, layer, s->u, (size_t)e, e);
}

void qm_mix_w8a8(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const int32_t e = c->d_inner, d = c->d_model, n_bc = c->dt_rank + 2 * c->d_state;
    const int32_t n_rows = t->pass->n_rows;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    const qm_range channels = qm_share(t, e, QM_CHANNEL_ALIGN);
    const qm_range outputs = qm_share(t, d, QM_CHANNEL_ALIGN);
    const qm_range part = qm_share(t, n_bc, QM_PACK_OUTPUTS);
    const int32_t n = channels.end - channels.begin;

    qm_foresee(t, &l->in_proj, channels.begin, n);
    const int8_t *norm = norm_codes(t, layer);
    qm_show_codes(t, QM_EDGE_NORM_OUT, layer, norm, l->scales.in, (size_t)d, d);
    project_in(t, layer, channels, norm);
    show_in_proj(t, layer);
    qm_foresee(t, &l->x_proj, part.begin, part.end - part.begin);
    qm_await(t, layer, QM_STATE_OF_CONV);
    qm_convolve_w8a8(t, layer, channels);
    qm_meet(t);
    qm_keep_input_scales(t, layer);
    qm_hand_on(t, layer, QM_STATE_OF_CONV);
    show_conv(t, layer);
    /* x_proj has few outputs: share the rows when there are many, else the outputs. */
    if (n_rows >= QM_PANEL_ROWS)
        project_x(t, layer, qm_share(t, n_rows, 1), (qm_range){0, n_bc});
    else
        project_x(t, layer, (qm_range){0, n_rows}, part);
    qm_foresee(t, &l->dt_proj, channels.begin, n);
    qm_meet(t);
    show_either(t, QM_EDGE_X_PROJ_OUT, layer, knobs->lin == QM_LIN_INT8 ? s->codes.x_dbl : NULL,
                l->scales.b, s->x_dbl, n_bc);
    project_dt(t, layer, channels);
    show_either(t, QM_EDGE_DT_PROJ_OUT, layer,
                knobs->bc == QM_BC_I8 || knobs->bc == QM_BC_I8LATE ? s->codes.dt : NULL,
                l->scales.dt, s->delta, e);
    qm_foresee(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin);
    qm_await(t, layer, QM_STATE_OF_SCAN);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        scan(t, &t->pass->segments[i], layer, channels);
    qm_hand_on(t, layer, QM_STATE_OF_SCAN);
    qm_meet(t);
    qm_show(t, QM_EDGE_SCAN_OUT, layer, s->xz, (size_t)e, e);
    qm_show_state(t, layer);
    const int8_t *rotated = rotate(t, layer);
    qm_show_codes(t, QM_EDGE_HADAMARD_OUT, layer, rotated, l->scales.o, (size_t)e, e);
    qm_linear_numbers(t, &l->out_proj, l->out_proj.a, true, outputs.begin,
                      outputs.end - outputs.begin, s->hidden + outputs.begin, (size_t)d, rotated,
                      (size_t)e, n_rows);
    qm_show(t, QM_EDGE_OUT_PROJ_OUT, layer, s->hidden, (size_t)d, d);
    qm_add_residual(t, outputs);
    qm_meet(t);
    qm_show(t, QM_EDGE_RESIDUAL, layer, s->residual, (size_t)d, d);
}
