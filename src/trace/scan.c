/* The selective scan token by token, with everything it passes on the way: decay, state, the sum,
 * the gate. */
#include "op/scan.h"
#include "trace/walk.h"

#include <string.h>

/* How a token goes through the scan. */
typedef struct recipe {
    qm_op_scan scan;
    bool step8; /* upstream's decode kernel, which belongs to an INT8 state */
} recipe;

static recipe recipe_of(const qm_trace_piece *p)
{
    static const qm_op_scan scans[] = {[QM_SCAN_FUSED] = QM_OP_SCAN_FUSED,
                                       [QM_SCAN_REF] = QM_OP_SCAN_REF,
                                       [QM_SCAN_SE] = QM_OP_SCAN_SE,
                                       [QM_SCAN_MAMBA] = QM_OP_SCAN_MAMBA};
    const qm_knobs *k = p->knobs;
    if (!p->quantized) return (recipe){QM_OP_SCAN_FUSED, false};
    const bool step8 = p->step && k->state != QM_STATE_F16 && k->state != QM_STATE_F32;
    return (recipe){step8 ? QM_OP_SCAN_REF : scans[k->scan], step8};
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

/* Decay, the state after the token in place of that before it, and the sum before the gate. */
static void update(const qm_trace_piece *p, recipe how, size_t r, float *decay)
{
    const size_t e = (size_t)p->config->d_inner;
    const float *u = qm_trace_numbers(p, p->quantized ? QM_AT_SCAN_IN : QM_AT_CONV_OUT, r);
    const float *delta = qm_trace_numbers(p, QM_AT_DELTA, r);
    const float *b = qm_trace_numbers(p, QM_AT_SCAN_B, r),
                *c = qm_trace_numbers(p, QM_AT_SCAN_C, r);
    float *h = p->past->h, *y = qm_trace_numbers(p, QM_AT_SCAN_SUM, r);
    const float turn = how.scan == QM_OP_SCAN_MAMBA ? QM_LOG2E : 1.0f;
    for (size_t d = 0; d < e; d++)
        y[d] = qm_op_scan_begin(how.scan, p->l->d[d], u[d]);
    for (size_t n = 0; n < (size_t)p->config->d_state; n++)
        for (size_t d = 0, i = n * e; d < e; d++, i++) {
            decay[i] = qm_op_scan_decay(how.scan, delta[d], p->l->a[i] * turn);
            h[i] = qm_op_scan_update(how.scan, decay[i], h[i], u[d], delta[d], b[n]);
            y[d] = qm_op_scan_sum(how.scan, y[d], h[i], c[n]);
        }
    for (size_t d = 0; d < e; d++)
        y[d] = qm_op_scan_end(how.scan, y[d], p->l->d[d], u[d]);
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
    else if (how.scan == QM_OP_SCAN_FUSED)
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
    if (token < p->walk->plan->first) return QUAMBA_OK;
    return p->walk->emit(p->walk->user, p->layer, edge, token, 1, values, err);
}

static quamba_status scan_token(const qm_trace_piece *p, size_t r, quamba_error *err)
{
    const recipe how = recipe_of(p);
    float *h = p->past->h, *decay = p->data[QM_AT_DECAY];
    if (p->step && !p->past->stepped) round_state(p, h, true);
    quamba_status status = show_state(p, QM_AT_STATE_IN, r, h, err);
    update(p, how, r, decay);
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
