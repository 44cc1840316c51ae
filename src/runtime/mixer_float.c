/* The mixer of floating-point models. */
#include "runtime/pass.h"

#include <math.h>
#include <string.h>

static void norm_rows(const qm_thread *t, int32_t layer)
{
    const float *weight = t->s->model->layers[layer].norm;
    const qm_config *c = &t->s->model->config;
    size_t d = (size_t)c->d_model;
    qm_range rows = qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *out = t->s->hidden + (size_t)i * d;
        t->s->kernels.rms_norm_f32(out, t->s->residual + (size_t)i * d, weight, (float)c->norm_eps,
                                   d);
        qm_round_rows(t, out, d, 1, c->d_model);
        qm_snap_rows(t, QM_EDGE_NORM_OUT, layer, out, d, 1, c->d_model);
    }
}

/* One token of the convolution on n channels; zeros: [n]. */
static void convolve_token(const qm_thread *t, float *out, const float *const *taps,
                           const float *weight, const float *bias, const float *zeros, size_t n)
{
    const qm_kernels *kernels = &t->s->kernels;
    const size_t e = (size_t)t->s->model->config.d_inner;
    const size_t width = (size_t)t->s->model->config.d_conv;
    const bool in_steps = t->s->model->datapath->conv_in_steps;
    kernels->conv_f32(out, taps, weight, e, in_steps ? zeros : bias, n, width);
    if (!in_steps) return;
    kernels->round_f16(out, n);
    for (size_t i = 0; i < n; i++)
        out[i] += bias[i];
    kernels->round_f16(out, n);
}

/* Convolution and SiLU of one segment on channels [begin, end), and the inputs it leaves behind. */
static void convolve(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const qm_config *c = &t->s->model->config;
    const qm_layer *l = &t->s->model->layers[layer];
    size_t e = (size_t)c->d_inner, width = (size_t)c->d_conv, n = (size_t)(range.end - range.begin);
    float *state = seg->session->conv_state + (size_t)layer * width * e + range.begin;
    const float *x = t->s->xz + (size_t)seg->first_row * 2 * e + range.begin;
    const float *taps[QM_MAX_CONV];
    if (t->s->model->datapath->conv_in_steps) memset(t->z, 0, n * sizeof *t->z);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        for (size_t k = 0; k < width;
             k++) /* token r - (width-1) + k, before the segment: the state */
            taps[k] = r + k + 1 < width ? state + (r + k + 1) * e : x + (r + k + 1 - width) * 2 * e;
        float *out = t->s->conv + ((size_t)seg->first_row + r) * e + range.begin;
        convolve_token(t, out, taps, l->conv + range.begin, l->conv_bias + range.begin, t->z, n);
        t->s->kernels.silu_f32(out, n);
        if (t->half) t->s->kernels.round_f16(out, n);
        qm_snap_rows(t, QM_EDGE_CONV_OUT, layer, out, e, 1, (int32_t)n);
    }
    for (size_t k = 0; k < width; k++) { /* oldest first, so a row is read before it is replaced */
        size_t from = (size_t)seg->n_rows + k; /* in state rows, then in new rows */
        const float *source = from < width ? state + from * e : x + (from - width) * 2 * e;
        memmove(state + k * e, source, n * sizeof(float));
    }
}

/* Time step, scan and gate of one segment on channels [begin, end); y replaces x in xz. */
static void scan(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const qm_config *c = &t->s->model->config;
    const qm_kernels *kernels = &t->s->kernels;
    const quamba_datapath *dp = t->s->model->datapath;
    const qm_layer *l = &t->s->model->layers[layer];
    size_t e = (size_t)c->d_inner, n_state = (size_t)c->d_state,
           n = (size_t)(range.end - range.begin);
    size_t first = (size_t)seg->first_row, at = (size_t)range.begin;
    size_t ld_bc = (size_t)c->dt_rank + 2 * n_state;
    float *state = seg->session->ssm_state + (size_t)layer * n_state * e + at;
    bool half_state = seg->decode && dp->step_state == QM_FORMAT_F16;
    if (half_state) /* a prefill leaves FP32; a stepping device keeps it in half */
        for (size_t k = 0; k < n_state; k++)
            kernels->round_f16(state + k * e, n);
    for (size_t r = 0; r < (size_t)seg->n_rows; r++) {
        float *delta = t->s->delta + (first + r) * e + at;
        if (seg->decode && !dp->step_log1p)
            kernels->softplus_log_f32(delta, l->dt_bias + at, n);
        else
            kernels->softplus_f32(delta, l->dt_bias + at, n);
    }
    float *y = t->s->xz + first * 2 * e + at;
    const float *bc = t->s->x_dbl + first * ld_bc + (size_t)c->dt_rank;
    kernels->scan_f32(&(qm_scan_f32_args){.y = y,
                                          .h = state,
                                          .u = t->s->conv + first * e + at,
                                          .delta = t->s->delta + first * e + at,
                                          .a = l->a + at,
                                          .b = bc,
                                          .c = bc + n_state,
                                          .d = l->d + at,
                                          .ld_y = 2 * e,
                                          .ld_u = e,
                                          .ld_delta = e,
                                          .ld_bc = ld_bc,
                                          .ld_state = e,
                                          .n_rows = (size_t)seg->n_rows,
                                          .n = n,
                                          .d_state = n_state});
    for (size_t r = 0; r < (size_t)seg->n_rows; r++)
        kernels->gate_f32(y + r * 2 * e, y + r * 2 * e + e, n);
    qm_round_rows(t, y, 2 * e, seg->n_rows, (int32_t)n);
    for (size_t k = 0; half_state && k < n_state; k++)
        kernels->round_f16(state + k * e, n);
    if (seg->decode) qm_snap_rows(t, QM_EDGE_SSM_STATE, layer, state, e, c->d_state, (int32_t)n);
}

/* Rotates y in place. */
static void rotate(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_rotation *turn = &s->rotation;
    const int32_t e = s->model->config.d_inner;
    const float factor = (float)(1.0 / sqrt((double)e));
    const qm_range rows = qm_share(t, t->pass->n_rows, 1);
    for (int32_t i = rows.begin; i < rows.end; i++) {
        float *y = s->xz + (size_t)i * 2 * (size_t)e;
        s->kernels.hadamard_f32(y, t->z, turn->signs, (size_t)turn->m, (size_t)turn->width, factor);
        qm_round_rows(t, y, (size_t)e, 1, e);
        qm_snap_rows(t, QM_EDGE_HADAMARD_OUT, layer, y, (size_t)e, 1, e);
    }
}

void qm_mix_float(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const qm_config *c = &s->model->config;
    const qm_layer *l = &s->model->layers[layer];
    const int32_t e = c->d_inner, d = c->d_model, n_bc = c->dt_rank + 2 * c->d_state;
    const size_t ld_xz = 2 * (size_t)e;
    const qm_range channels = qm_share(t, e, QM_CHANNEL_ALIGN),
                   outputs = qm_share(t, d, QM_CHANNEL_ALIGN);
    const qm_range part = qm_share(t, n_bc, 1);
    const int32_t n = channels.end - channels.begin, n_rows = t->pass->n_rows;

    qm_foresee(t, &l->in_proj, channels.begin, n);
    norm_rows(t, layer);
    qm_meet(t);
    qm_show(t, QM_EDGE_NORM_OUT, layer, s->hidden, (size_t)d, d);
    for (int32_t half = 0; half < 2; half++) { /* this thread's channels of x, then of z */
        float *xz = s->xz + half * e + channels.begin;
        qm_linear_float(t, &l->in_proj, half * e + channels.begin, n, xz, ld_xz, s->hidden,
                        (size_t)d, n_rows);
        qm_snap_rows(t, QM_EDGE_IN_PROJ_OUT, layer, xz, ld_xz, n_rows, n);
    }
    qm_show(t, QM_EDGE_IN_PROJ_OUT, layer, s->xz, ld_xz, 2 * e);
    qm_foresee(t, &l->x_proj, part.begin, part.end - part.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        convolve(t, &t->pass->segments[i], layer, channels);
    qm_meet(t);
    qm_show(t, QM_EDGE_CONV_OUT, layer, s->conv, (size_t)e, e);
    /* x_proj has few outputs: share the rows when there are many, else the outputs. */
    const bool by_rows = n_rows >= QM_PANEL_ROWS;
    const qm_range rows = by_rows ? qm_share(t, n_rows, 1) : (qm_range){0, n_rows};
    const qm_range cols = by_rows ? (qm_range){0, n_bc} : part;
    float *x_dbl = s->x_dbl + (size_t)rows.begin * (size_t)n_bc + cols.begin;
    qm_linear_float(t, &l->x_proj, cols.begin, cols.end - cols.begin, x_dbl, (size_t)n_bc,
                    s->conv + (size_t)rows.begin * (size_t)e, (size_t)e, rows.end - rows.begin);
    qm_snap_rows(t, QM_EDGE_X_PROJ_OUT, layer, x_dbl, (size_t)n_bc, rows.end - rows.begin,
                 cols.end - cols.begin);
    qm_foresee(t, &l->dt_proj, channels.begin, n);
    qm_meet(t);
    qm_show(t, QM_EDGE_X_PROJ_OUT, layer, s->x_dbl, (size_t)n_bc, n_bc);
    qm_linear_float(t, &l->dt_proj, channels.begin, n, s->delta + channels.begin, (size_t)e,
                    s->x_dbl, (size_t)n_bc, n_rows);
    qm_snap_rows(t, QM_EDGE_DT_PROJ_OUT, layer, s->delta + channels.begin, (size_t)e, n_rows, n);
    qm_show(t, QM_EDGE_DT_PROJ_OUT, layer, s->delta, (size_t)e, e);
    qm_foresee(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin);
    for (int32_t i = 0; i < t->pass->n_segments; i++)
        scan(t, &t->pass->segments[i], layer, channels);
    qm_meet(t);
    qm_show(t, QM_EDGE_SCAN_OUT, layer, s->xz, ld_xz, e);
    qm_show_state(t, layer);
    if (s->model->datapath->rotated) {
        rotate(t, layer);
        qm_meet(t);
        qm_show(t, QM_EDGE_HADAMARD_OUT, layer, s->xz, ld_xz, e);
    }
    qm_linear_float(t, &l->out_proj, outputs.begin, outputs.end - outputs.begin,
                    s->hidden + outputs.begin, (size_t)d, s->xz, ld_xz, t->pass->n_rows);
    qm_show(t, QM_EDGE_OUT_PROJ_OUT, layer, s->hidden, (size_t)d, d);
    qm_add_residual(t, outputs);
    qm_meet(t);
    qm_show(t, QM_EDGE_RESIDUAL, layer, s->residual, (size_t)d, d);
}
