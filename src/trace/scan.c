/* The selective scan token by token, with everything it passes on the way: decay, state, the sum,
 * the gate. */
#include "base/fmath.h"
#include "trace/walk.h"

#include <math.h>
#include <string.h>

/* How a token goes through the scan. */
typedef struct recipe {
    qm_scan scan;
    bool step8; /* upstream's decode kernel, which belongs to an INT8 state */
} recipe;

static recipe recipe_of(const qm_trace_piece *p)
{
    const qm_knobs *k = p->knobs;
    if (!p->quantized) return (recipe){QM_SCAN_FUSED, false};
    const bool step8 = p->step && k->state != QM_STATE_F16 && k->state != QM_STATE_F32;
    return (recipe){step8 ? QM_SCAN_REF : k->scan, step8};
}

/* ---- the state between tokens -----------------------------------------------------------------
 */

static void to_codes(const qm_trace_piece *p, float *h, bool away)
{
    const size_t e = (size_t)p->config->d_inner;
    const float scale = p->l->scales.h;
    if (away) {
        qm_quantize_away_i8_scalar(p->codes, h, scale, e);
    } else {
        for (size_t d = 0; d < e; d++)
            p->row[d] = h[d] * 100.0f;
        qm_quantize_even_i8_scalar(p->codes, p->row, scale * 100.0f, e);
    }
    qm_dequantize_i8_scalar(h, p->codes, scale, e);
}

/* As a device keeps it, at the hand-over from a prefill or after a step. */
static void round_state(const qm_trace_piece *p, float *state, bool handed_over)
{
    const qm_state kind = p->knobs->state;
    const bool half =
        p->quantized ? kind == QM_STATE_F16 : p->model->datapath->step_state == QM_FORMAT_F16;
    const size_t e = (size_t)p->config->d_inner;
    if (p->quantized ? kind == QM_STATE_F32 : !half) return;
    for (size_t n = 0; n < (size_t)p->config->d_state; n++) {
        float *h = state + n * e;
        if (half)
            qm_round_f16_scalar(h, e);
        else
            to_codes(p, h, kind == QM_STATE_I8STEP_AWAY || (kind == QM_STATE_I8END && handed_over));
    }
}

/* ---- one token --------------------------------------------------------------------------------
 */

static void decay_of(const qm_trace_piece *p, recipe how, const float *delta, float *out)
{
    const size_t e = (size_t)p->config->d_inner;
    for (size_t n = 0; n < (size_t)p->config->d_state; n++)
        for (size_t d = 0; d < e; d++) {
            const float a = p->l->a[n * e + d];
            out[n * e + d] = how.scan == QM_SCAN_MAMBA ? qm_exp2f(delta[d] * (a * QM_LOG2E))
                                                       : qm_expf(delta[d] * a);
        }
}

static void update(recipe how, const float *decay, float *h, float b, const float *delta,
                   const float *u, size_t e)
{
    for (size_t d = 0; d < e; d++)
        if (how.scan == QM_SCAN_REF)
            h[d] = decay[d] * h[d] + (delta[d] * b) * u[d];
        else if (how.scan == QM_SCAN_SE)
            h[d] = decay[d] * h[d] + b * (delta[d] * u[d]);
        else
            h[d] = fmaf(decay[d], h[d], b * (delta[d] * u[d]));
}

/* sum over n of state and C, and D times u: first or last. */
static void sum_up(const qm_trace_piece *p, recipe how, const float *state, const float *c,
                   const float *u, float *y)
{
    const size_t e = (size_t)p->config->d_inner;
    const bool skip_first = how.scan == QM_SCAN_FUSED || how.scan == QM_SCAN_MAMBA;
    for (size_t d = 0; d < e; d++)
        y[d] = skip_first ? p->l->d[d] * u[d] : 0.0f;
    for (size_t n = 0; n < (size_t)p->config->d_state; n++)
        for (size_t d = 0; d < e; d++)
            y[d] = how.scan == QM_SCAN_REF ? y[d] + state[n * e + d] * c[n]
                                           : fmaf(state[n * e + d], c[n], y[d]);
    for (size_t d = 0; !skip_first && d < e; d++)
        y[d] = y[d] + p->l->d[d] * u[d];
}

static void gate(const qm_trace_piece *p, recipe how, size_t r)
{
    const size_t e = (size_t)p->config->d_inner;
    float *z = qm_trace_numbers(p, QM_AT_GATE, r), *y = qm_trace_numbers(p, QM_AT_SCAN_OUT, r);
    if (p->dtype[QM_AT_IN_PROJ_Z] == QM_I8)
        qm_dequantize_i8_scalar(z, qm_trace_codes(p, QM_AT_IN_PROJ_Z, r), p->l->scales.z, e);
    else
        memcpy(z, qm_trace_numbers(p, QM_AT_IN_PROJ_Z, r), e * sizeof *z);
    memcpy(y, qm_trace_numbers(p, QM_AT_SCAN_SUM, r), e * sizeof *y);
    if (how.step8)
        qm_gate_sigmoid_f32_scalar(y, z, e);
    else if (how.scan == QM_SCAN_FUSED)
        qm_gate_f32_scalar(y, z, e);
    else
        qm_gate_ref_f32_scalar(y, z, e);
    if (p->quantized ? p->knobs->y == QM_Y_F16 : p->half) qm_round_f16_scalar(y, e);
}

/* Hands an edge of the state over, whose one row is the token's. */
static quamba_status show_state(const qm_trace_piece *p, qm_trace_edge edge, size_t r,
                                const float *values, quamba_error *err)
{
    const size_t token = p->first + r;
    if (token < p->walk->first) return QUAMBA_OK;
    return p->walk->emit(p->walk->user, p->layer, edge, token, 1, values, err);
}

static quamba_status scan_token(const qm_trace_piece *p, size_t r, quamba_error *err)
{
    const recipe how = recipe_of(p);
    const size_t e = (size_t)p->config->d_inner;
    const float *delta = qm_trace_numbers(p, QM_AT_DELTA, r);
    const float *u = qm_trace_numbers(p, p->quantized ? QM_AT_SCAN_IN : QM_AT_CONV_OUT, r);
    const float *b = qm_trace_numbers(p, QM_AT_SCAN_B, r);
    float *h = p->past->h, *decay = p->data[QM_AT_DECAY];
    if (p->step && !p->past->stepped) round_state(p, h, true);
    quamba_status status = show_state(p, QM_AT_STATE_IN, r, h, err);
    decay_of(p, how, delta, decay);
    for (size_t n = 0; n < (size_t)p->config->d_state; n++)
        update(how, decay + n * e, h + n * e, b[n], delta, u, e);
    sum_up(p, how, h, qm_trace_numbers(p, QM_AT_SCAN_C, r), u,
           qm_trace_numbers(p, QM_AT_SCAN_SUM, r));
    gate(p, how, r);
    if (status == QUAMBA_OK) status = show_state(p, QM_AT_DECAY, r, decay, err);
    if (status == QUAMBA_OK) status = show_state(p, QM_AT_STATE, r, h, err);
    if (p->step) round_state(p, h, false);
    p->past->stepped = p->step;
    return status == QUAMBA_OK ? show_state(p, QM_AT_STATE_KEPT, r, h, err) : status;
}

quamba_status qm_trace_scan(qm_trace_piece *p, quamba_error *err)
{
    quamba_status status = QUAMBA_OK;
    for (size_t r = 0; status == QUAMBA_OK && r < p->n_rows; r++)
        status = scan_token(p, r, err);
    return status;
}
