#include "verify/plain.h"

#include "base/code.h"
#include "base/fmath.h"

#include <stdlib.h>

/* ---- convolution and projections --------------------------------------------------------------
 */

float qm_plain_conv(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                    size_t channel)
{
    const qm_layer *l = &m->layers[layer];
    const qm_recording *x = qm_trace_at(t, layer, QM_EDGE_IN_PROJ_OUT);
    const size_t width = (size_t)m->config.d_conv, e = (size_t)m->config.d_inner;
    int32_t acc = 0;
    for (size_t k = 0; k < width; k++)
        if (token + k + 1 >= width)
            acc += l->conv_codes[k * e + channel] *
                   (int32_t)x->values[(token + k + 1 - width) * x->n_cols + channel];
    const float a = fmaf(l->scales.w * l->scales.x, (float)acc, l->conv_bias[channel]);
    return a / (1.0f + qm_expf(-a));
}

int32_t qm_plain_product(const qm_linear *w, size_t output, const float *codes)
{
    int32_t acc = 0;
    for (int32_t i = 0; i < w->n_in; i++)
        acc += qm_linear_code(w, (int32_t)output, i) * (int32_t)codes[i];
    return acc;
}

int8_t qm_plain_x_proj(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                       size_t output)
{
    const qm_linear *w = &m->layers[layer].x_proj;
    const qm_recording *x = qm_trace_at(t, layer, QM_EDGE_X_PROJ_IN);
    const int32_t acc = qm_plain_product(w, output, x->values + token * x->n_cols);
    size_t lost = 0;
    return qm_code_even(w->a * (w->b * (float)acc), &lost);
}

int8_t qm_plain_dt_proj(const quamba_model *m, const qm_trace *t, int32_t layer, size_t token,
                        size_t channel)
{
    const qm_linear *w = &m->layers[layer].dt_proj;
    const qm_recording *x = qm_trace_at(t, layer, QM_EDGE_X_PROJ_OUT);
    const int32_t acc = qm_plain_product(w, channel, x->values + token * x->n_cols);
    size_t lost = 0;
    return qm_code_even(w->b * (w->a * (float)acc), &lost);
}

/* ---- scan -------------------------------------------------------------------------------------
 */

typedef struct token {
    float u, delta, z;
    const float *b, *c; /* [d_state], at the edge */
    float scale;        /* of b and c; 0: numbers */
    bool late;          /* numbers that go onto the INT8 grid here */
} token;

static float on_grid(const token *x, float value, float grid)
{
    size_t lost = 0;
    if (x->scale > 0.0f) return x->scale * value;
    return x->late ? grid * (float)qm_code_even(value / grid, &lost) : value;
}

static bool keeps_codes(const qm_knobs *k)
{
    return k->state != QM_STATE_F32 && k->state != QM_STATE_F16;
}

static token token_of(const qm_plain_scan *p, size_t i)
{
    const quamba_model *m = p->model;
    const qm_layer *l = &m->layers[p->layer];
    const qm_knobs *knobs = &m->datapath->knobs;
    const qm_recording *u = qm_trace_at(p->trace, p->layer, QM_EDGE_SCAN_IN),
                       *dt = qm_trace_at(p->trace, p->layer, QM_EDGE_DT_PROJ_OUT),
                       *bc = qm_trace_at(p->trace, p->layer, QM_EDGE_X_PROJ_OUT);
    const size_t e = (size_t)m->config.d_inner;
    const float *row = bc->values + i * bc->n_cols + m->config.dt_rank;
    const bool step8 = i >= p->trace->n_prefill && keeps_codes(knobs);
    token x = {.u = qm_recorded(u, i * e + p->channel), .b = row, .c = row + m->config.d_state};
    x.scale = bc->scale;
    x.late = knobs->bc == QM_BC_I8LATE;
    const float code = dt->values[i * e + p->channel], bias = l->dt_bias[p->channel];
    if (dt->scale > 0.0f && knobs->scan == QM_SCAN_FUSED && !step8)
        x.delta = p->no_bias ? dt->scale * code : fmaf(dt->scale, code, bias);
    else
        x.delta = qm_recorded(dt, i * e + p->channel) + (p->no_bias ? 0.0f : bias);
    if (step8)
        x.delta = x.delta <= 20.0f ? qm_logf(qm_expf(x.delta) + 1.0f) : x.delta;
    else
        x.delta = x.delta <= 20.0f ? qm_log1pf(qm_expf(x.delta)) : x.delta;
    x.z = l->scales.z * p->trace->z[((size_t)p->layer * p->trace->n_tokens + i) * e + p->channel];
    return x;
}

static void finish(const qm_plain_scan *p, size_t i, const token *x, float y, double size)
{
    const qm_knobs *knobs = &p->model->datapath->knobs;
    const float z = x->z;
    const float skip = p->no_skip ? 0.0f : p->model->layers[p->layer].d[p->channel] * x->u;
    const bool step8 = i >= p->trace->n_prefill && keeps_codes(knobs);
    const bool skip_first =
        !step8 && (knobs->scan == QM_SCAN_FUSED || knobs->scan == QM_SCAN_MAMBA);
    if (!skip_first && !p->no_skip) y = y + skip;
    if (!p->no_gate) {
        if (step8)
            y = y * (z * (1.0f / (1.0f + qm_expf(-z))));
        else if (knobs->scan == QM_SCAN_FUSED)
            y = (y * z) / (1.0f + qm_expf(-z));
        else
            y = y * (z / (1.0f + qm_expf(-z)));
        size = (size + fabs((double)skip)) * fabs((double)z) / (1.0 + qm_exp64(-(double)z));
    }
    p->y[i] = knobs->y == QM_Y_F16 ? qm_f32_f16(qm_f16_f32(y)) : y;
    p->size[i] = size;
}

/* The state as it is kept between steps. */
static void keep(const qm_plain_scan *p, bool handed_over)
{
    const qm_state kind = p->model->datapath->knobs.state;
    const float s = p->model->layers[p->layer].scales.h;
    size_t lost = 0;
    for (int32_t n = 0; n < p->model->config.d_state; n++) {
        float *h = &p->h[n];
        if (kind == QM_STATE_F16)
            *h = qm_f32_f16(qm_f16_f32(*h));
        else if (kind == QM_STATE_I8STEP_AWAY || (kind == QM_STATE_I8END && handed_over))
            *h = s * (float)qm_code_away(*h / s, &lost);
        else if (kind != QM_STATE_F32)
            *h = s * (float)qm_code_even((*h * 100.0f) / (s * 100.0f), &lost);
    }
}

/* One token, from the state h to the state after it. */
static void advance(const qm_plain_scan *p, size_t i)
{
    const quamba_model *m = p->model;
    const qm_layer *l = &m->layers[p->layer];
    const qm_knobs *knobs = &m->datapath->knobs;
    const token x = token_of(p, i);
    const bool step8 = i >= p->trace->n_prefill && keeps_codes(knobs);
    const qm_scan kind = step8 ? QM_SCAN_REF : knobs->scan;
    const bool skip_first = kind == QM_SCAN_FUSED || kind == QM_SCAN_MAMBA;
    float y = skip_first && !p->no_skip ? l->d[p->channel] * x.u : 0.0f;
    double size = 0;
    for (size_t n = 0; n < (size_t)m->config.d_state; n++) {
        const float a = l->a[n * (size_t)m->config.d_inner + p->channel];
        const float b = on_grid(&x, x.b[n], l->scales.b), c = on_grid(&x, x.c[n], l->scales.c);
        float *h = &p->h[n];
        if (kind == QM_SCAN_FUSED)
            *h = fmaf(qm_expf(x.delta * a), *h, b * (x.delta * x.u));
        else if (kind == QM_SCAN_REF)
            *h = qm_expf(x.delta * a) * *h + (x.delta * b) * x.u;
        else if (kind == QM_SCAN_SE)
            *h = qm_expf(x.delta * a) * *h + b * (x.delta * x.u);
        else
            *h = fmaf(qm_exp2f(x.delta * (a * QM_LOG2E)), *h, b * (x.delta * x.u));
        y = kind == QM_SCAN_REF ? y + *h * c : fmaf(*h, c, y);
        size += fabs((double)*h * (double)c);
    }
    finish(p, i, &x, y, size);
}

/* h[i] = a[i] h[i-1] + b[i] by the operator (a0, b0) o (a1, b1) = (a1 a0, fma(a1, b0, b1)), whose
 * prefixes are found by doubling inside each block. */
static void prefix(float *a, float *b, size_t n, size_t block, float before)
{
    for (size_t first = 0; first < n; first += block) {
        const size_t end = first + block < n ? first + block : n;
        for (size_t reach = 1; reach < end - first; reach *= 2)
            for (size_t i = end; i-- > first + reach;) {
                b[i] = fmaf(a[i], b[i - reach], b[i]);
                a[i] = a[i] * a[i - reach];
            }
        for (size_t i = first; i < end; i++)
            b[i] = fmaf(a[i], before, b[i]);
        before = b[end - 1];
    }
}

static bool scan_blocks(const qm_plain_scan *p)
{
    const quamba_model *m = p->model;
    const qm_layer *l = &m->layers[p->layer];
    const size_t n = p->trace->n_prefill;
    float *a = qm_alloc(3 * n, sizeof *a);
    if (!a) return false;
    float *b = a + n, *y = b + n;
    for (size_t i = 0; i < n; i++)
        y[i] = l->d[p->channel] * token_of(p, i).u;
    for (size_t s = 0; s < (size_t)m->config.d_state; s++) {
        for (size_t i = 0; i < n; i++) {
            const token x = token_of(p, i);
            a[i] = qm_expf(x.delta * l->a[s * (size_t)m->config.d_inner + p->channel]);
            b[i] = on_grid(&x, x.b[s], l->scales.b) * (x.delta * x.u);
        }
        prefix(a, b, n, p->block, p->h[s]);
        for (size_t i = 0; i < n; i++) {
            const token x = token_of(p, i);
            const float c = on_grid(&x, x.c[s], l->scales.c);
            y[i] = fmaf(b[i], c, y[i]);
            p->size[i] += fabs((double)b[i] * (double)c);
        }
        p->h[s] = b[n - 1];
    }
    for (size_t i = 0; i < n; i++) {
        const token x = token_of(p, i);
        finish(p, i, &x, y[i], p->size[i]);
    }
    free(a);
    return true;
}

bool qm_plain_scan_run(const qm_plain_scan *p)
{
    const bool rounds = p->model->datapath->knobs.state != QM_STATE_F32;
    for (int32_t n = 0; n < p->model->config.d_state; n++)
        p->h[n] = 0.0f;
    for (size_t i = 0; i < p->trace->n_tokens; i++)
        p->size[i] = 0.0;
    size_t i = 0;
    if (p->block > 1) {
        if (!scan_blocks(p)) return false;
        i = p->trace->n_prefill;
    }
    for (; i < p->trace->n_tokens; i++) {
        if (rounds && i == p->trace->n_prefill) keep(p, true);
        advance(p, i);
        if (rounds && i >= p->trace->n_prefill) keep(p, false);
    }
    return true;
}
