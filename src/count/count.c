/* Operations and bytes of every operator.  Each function is the operator of the specification
 * (docs/numerics.md, docs/datapath.md) with its elements counted instead of computed. */
#include "count/count.h"

#include "base/hadamard.h"

/* What all operators need: the shape in wide integers, the width of the edges in bytes. */
typedef struct tally {
    qm_counts *counts;
    const qm_plan *plan;
    const qm_layer_types *types;
    const qm_knobs *knobs;
    uint64_t n, d, e, state, width, rank, v; /* tokens, d_model, d_inner, d_state, d_conv, ... */
    bool quantized, decode, half;            /* half: a floating-point result is rounded to half */
    uint64_t number;                         /* bytes of such a result */
    uint64_t norm, x, z, xp, u, dbl, dt, y;  /* bytes of an element on the edge */
} tally;

static void add(const tally *t, qm_operator operator, qm_count_kind kind, uint64_t n)
{
    t->counts->of[operator][kind] += n;
}

static void move(const tally *t, qm_operator operator, uint64_t read, uint64_t written)
{
    add(t, operator, QM_COUNT_EDGE_BYTES, read + written);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Numbers to codes of one scale. */
static void quantize(const tally *t, qm_operator operator, uint64_t n)
{
    add(t, operator, QM_COUNT_DIV, n);
    add(t, operator, QM_COUNT_ROUND_I8, n);
}

static void dequantize(const tally *t, qm_operator operator, uint64_t n)
{
    add(t, operator, QM_COUNT_MUL_F32, n);
}

/* Onto an INT8 grid, where they stay FP32. */
static void snap(const tally *t, qm_operator operator, uint64_t n)
{
    quantize(t, operator, n);
    dequantize(t, operator, n);
}

static void round_half(const tally *t, qm_operator operator, uint64_t n)
{
    if (t->half) add(t, operator, QM_COUNT_ROUND_F16, n);
}

/* 1 / (1 + exp(-x)), or x over that. */
static void sigmoid(const tally *t, qm_operator operator, uint64_t n)
{
    add(t, operator, QM_COUNT_EXP, n);
    add(t, operator, QM_COUNT_ADD_F32, n);
    add(t, operator, QM_COUNT_DIV, n);
}

static void rms_norm(const tally *t, qm_operator operator, uint64_t rows)
{
    add(t, operator, QM_COUNT_MAC_F32, rows * t->d);
    add(t, operator, QM_COUNT_MUL_F32, 2 * rows * t->d);
    add(t, operator, QM_COUNT_ADD_F32, rows); /* eps */
    add(t, operator, QM_COUNT_DIV, 2 * rows); /* the mean; 1 over the root */
    add(t, operator, QM_COUNT_SQRT, rows);
    add(t, operator, QM_COUNT_DRAM_BYTES, t->d * sizeof(float));
}

/* A matrix [n_out][n_in]; what becomes of the sums is the caller's. */
static void multiply(const tally *t, qm_operator operator, qm_dtype type, uint64_t rows,
                     uint64_t n_out, uint64_t n_in)
{
    add(t, operator, type == QM_I8 ? QM_COUNT_MAC_I8 : QM_COUNT_MAC_F32, rows * n_out * n_in);
    add(t, operator, QM_COUNT_DRAM_BYTES, n_out * n_in * qm_dtype_size(type));
}

/* Integer sums to codes. */
static void requantize(const tally *t, qm_operator operator, uint64_t n)
{
    add(t, operator, QM_COUNT_MUL_F32, 2 * n);
    add(t, operator, QM_COUNT_ROUND_I8, n);
}

/* Integer sums to numbers. */
static void rescale(const tally *t, qm_operator operator, bool half, uint64_t n)
{
    add(t, operator, QM_COUNT_MUL_F32, 2 * n);
    if (half) add(t, operator, QM_COUNT_ROUND_F16, n);
}

/* Codes as weights of an FP32 product. */
static void multiply_dequantized(const tally *t, qm_operator operator, uint64_t n_out,
                                 uint64_t n_in)
{
    dequantize(t, operator, n_out * n_in);
    add(t, operator, QM_COUNT_MAC_F32, t->n * n_out * n_in);
    add(t, operator, QM_COUNT_DRAM_BYTES, n_out * n_in);
}

/* ---- operators of a layer -------------------------------------------------------------------- */

static void count_in_proj(const tally *t)
{
    const uint64_t x = t->n * t->e, z = t->n * t->e;
    multiply(t, QM_OP_IN_PROJ, t->types->in_proj, t->n, 2 * t->e, t->d);
    move(t, QM_OP_IN_PROJ, t->n * t->d * t->norm, x * t->x + z * t->z);
    if (!t->quantized) {
        round_half(t, QM_OP_IN_PROJ, x + z);
        return;
    }
    if (t->knobs->ip == QM_IP_I8)
        requantize(t, QM_OP_IN_PROJ, x);
    else
        rescale(t, QM_OP_IN_PROJ, t->knobs->ip == QM_IP_F16, x);
    if (t->knobs->z == QM_Z_I8)
        requantize(t, QM_OP_IN_PROJ, z);
    else
        rescale(t, QM_OP_IN_PROJ, false, z);
}

/* Codes for the convolution, where in_proj leaves numbers. */
static void count_conv_in(const tally *t)
{
    const uint64_t n = t->n * t->e;
    const bool by_run = t->knobs->cin != QM_CIN_STATIC;
    if (!t->quantized || t->knobs->ip == QM_IP_I8) return;
    quantize(t, QM_OP_CONV_IN, n);
    move(t, QM_OP_CONV_IN, n * t->x * (by_run ? 2 : 1), n);
    if (!by_run) return;
    const uint64_t scales = t->knobs->cin == QM_CIN_DYN_TENSOR ? 1 : t->n;
    add(t, QM_OP_CONV_IN, QM_COUNT_MAX_F32, n);
    add(t, QM_OP_CONV_IN, QM_COUNT_DIV, scales);
    add(t, QM_OP_CONV_IN, QM_COUNT_STATE_BYTES, 2 * t->width * sizeof(float));
}

/* Tokens whose taps have scales of their own: all but the first of a prompt, which has zeros before
 * it. */
static uint64_t tokens_of_mixed_scales(const tally *t)
{
    if (t->knobs->cin == QM_CIN_STATIC || t->width < 2) return 0;
    if (t->decode) return t->n;
    return t->knobs->cin == QM_CIN_DYN_TOKEN ? t->n - 1 : 0;
}

static void count_conv(const tally *t)
{
    const uint64_t n = t->n * t->e, tap = t->quantized ? 1 : sizeof(float);
    add(t, QM_OP_CONV, QM_COUNT_DRAM_BYTES, t->width * t->e * tap + t->e * sizeof(float));
    add(t, QM_OP_CONV, QM_COUNT_STATE_BYTES, 2 * t->width * t->e * tap);
    move(t, QM_OP_CONV, n * (t->quantized ? 1 : t->number), t->quantized ? 0 : n * t->number);
    sigmoid(t, QM_OP_CONV, n);
    if (!t->quantized) {
        add(t, QM_OP_CONV, QM_COUNT_MAC_F32, n * t->width);
        round_half(t, QM_OP_CONV, n);
    } else if (t->knobs->conv == QM_CONV_DEQ) {
        dequantize(t, QM_OP_CONV, 2 * n * t->width); /* weights and taps, for every token */
        add(t, QM_OP_CONV, QM_COUNT_MAC_F32, n * t->width);
        add(t, QM_OP_CONV, QM_COUNT_MUL_F32, 2 * n); /* by the sigmoid */
    } else {
        const uint64_t mixed = tokens_of_mixed_scales(t) * t->e, common = n - mixed;
        add(t, QM_OP_CONV, QM_COUNT_MAC_I8, common * t->width);
        add(t, QM_OP_CONV, QM_COUNT_MAC_F32, common + mixed * t->width);
        add(t, QM_OP_CONV, QM_COUNT_MUL_F32, mixed * t->width);
    }
}

/* The convolution's output onto its grid, as numbers; where a grid has branches, those of a value
 * that is not large. */
static void apply_grid(const tally *t, uint64_t n)
{
    switch (t->knobs->grid) {
    case QM_GRID_I8:
    case QM_GRID_F32:
        break;
    case QM_GRID_DUAL: /* first the largest outlier of the prompt */
        quantize(t, QM_OP_GRID, n);
        add(t, QM_OP_GRID, QM_COUNT_MAX_F32, n);
        add(t, QM_OP_GRID, QM_COUNT_DIV, 1);
        move(t, QM_OP_GRID, n * sizeof(float), n * sizeof(float)); /* the values wait for it */
        /* fall through */
    case QM_GRID_CDUAL:
    case QM_GRID_HALF:
    case QM_GRID_QUARTER:
        quantize(t, QM_OP_GRID, n); /* which step it is to be */
        snap(t, QM_OP_GRID, n);
        break;
    case QM_GRID_VQ:
    case QM_GRID_SEL:
    case QM_GRID_QLOG2:
    case QM_GRID_SEG3:
        snap(t, QM_OP_GRID, n);
        break;
    }
}

static void count_grid(const tally *t)
{
    const qm_knobs *k = t->knobs;
    const uint64_t n = t->n * t->e;
    if (!t->quantized) return;
    const bool one_stream = k->u == QM_U_CODES || k->u == QM_U_DEQ_REQ
                                ? t->xp == 1
                                : k->u == QM_U_VAL && k->xp == QM_XP_VAL;
    move(t, QM_OP_GRID, 0, n * t->xp + (one_stream ? 0 : n * t->u));
    if (k->grid == QM_GRID_I8) {
        quantize(t, QM_OP_GRID, n);
        dequantize(t, QM_OP_GRID, n); /* for the scan */
    } else if (k->xp != QM_XP_VAL) {
        quantize(t, QM_OP_GRID, n);
    }
    apply_grid(t, n);
    if (k->lin == QM_LIN_F32 && k->xp != QM_XP_VAL) dequantize(t, QM_OP_GRID, n);
    if (k->u == QM_U_DEQ_REQ || k->u == QM_U_REQ) snap(t, QM_OP_GRID, n);
}

static void count_x_proj(const tally *t)
{
    const uint64_t n_out = t->rank + 2 * t->state, n = t->n * n_out;
    move(t, QM_OP_X_PROJ, t->n * t->e * (t->quantized ? t->xp : t->number), n * t->dbl);
    if (t->quantized && t->knobs->lin == QM_LIN_F32) {
        multiply_dequantized(t, QM_OP_X_PROJ, n_out, t->e);
        if (t->knobs->bc == QM_BC_I8 || t->knobs->bc == QM_BC_VQ) snap(t, QM_OP_X_PROJ, n);
        return;
    }
    multiply(t, QM_OP_X_PROJ, t->types->x_proj, t->n, n_out, t->e);
    if (t->quantized)
        requantize(t, QM_OP_X_PROJ, n);
    else
        round_half(t, QM_OP_X_PROJ, n);
}

static void count_dt_proj(const tally *t)
{
    const uint64_t n = t->n * t->e;
    move(t, QM_OP_DT_PROJ, t->n * t->rank * t->dbl, n * t->dt);
    if (t->quantized && t->knobs->lin == QM_LIN_F32) {
        multiply_dequantized(t, QM_OP_DT_PROJ, t->e, t->rank);
        if (t->knobs->bc == QM_BC_VQ)
            snap(t, QM_OP_DT_PROJ, n);
        else if (t->knobs->bc != QM_BC_F32)
            quantize(t, QM_OP_DT_PROJ, n);
        return;
    }
    multiply(t, QM_OP_DT_PROJ, t->types->dt_proj, t->n, t->e, t->rank);
    if (t->quantized)
        requantize(t, QM_OP_DT_PROJ, n);
    else
        round_half(t, QM_OP_DT_PROJ, n);
}

/* A decode step of a row with an INT8 state runs upstream's decode kernel. */
static bool is_step8(const tally *t)
{
    return t->quantized && t->decode && t->knobs->state != QM_STATE_F16 &&
           t->knobs->state != QM_STATE_F32;
}

static bool has_codes_of_dt(const tally *t)
{
    return t->quantized && (t->knobs->bc == QM_BC_I8 || t->knobs->bc == QM_BC_I8LATE);
}

static void count_softplus(const tally *t)
{
    const uint64_t n = t->n * t->e;
    const bool step8 = is_step8(t), codes = has_codes_of_dt(t);
    const bool log_of_sum = t->quantized ? step8 : t->decode && !t->plan->datapath->step_log1p;
    move(t, QM_OP_SOFTPLUS, n * t->dt, 0);
    add(t, QM_OP_SOFTPLUS, QM_COUNT_DRAM_BYTES, t->e * sizeof(float)); /* bias */
    add(t, QM_OP_SOFTPLUS, QM_COUNT_EXP, n);
    add(t, QM_OP_SOFTPLUS, QM_COUNT_LOG, n);
    if (log_of_sum) add(t, QM_OP_SOFTPLUS, QM_COUNT_ADD_F32, n);
    if (codes && t->knobs->scan == QM_SCAN_FUSED && !step8) {
        add(t, QM_OP_SOFTPLUS, QM_COUNT_MAC_F32, n); /* dequantized with the bias in one step */
        return;
    }
    if (codes) dequantize(t, QM_OP_SOFTPLUS, n);
    add(t, QM_OP_SOFTPLUS, QM_COUNT_ADD_F32, n);
}

/* Bytes of the recurrent state's numbers as the datapath keeps them between tokens. */
static uint64_t state_bytes(const qm_plan *plan)
{
    if (!plan->config.quantized) return plan->datapath->step_state == QM_FORMAT_F16 ? 2 : 4;
    return plan->datapath->knobs.state == QM_STATE_F32   ? 4
           : plan->datapath->knobs.state == QM_STATE_F16 ? 2
                                                         : 1;
}

static void count_scan(const tally *t)
{
    const uint64_t n = t->n * t->e, each = n * t->state, bc = t->n * 2 * t->state;
    const qm_scan scan = !t->quantized ? QM_SCAN_FUSED : is_step8(t) ? QM_SCAN_REF : t->knobs->scan;
    if (t->quantized && t->knobs->lin == QM_LIN_INT8)
        dequantize(t, QM_OP_SCAN, bc);
    else if (t->quantized && t->knobs->bc == QM_BC_I8LATE)
        snap(t, QM_OP_SCAN, bc);
    add(t, QM_OP_SCAN, QM_COUNT_EXP, each);
    add(t, QM_OP_SCAN, QM_COUNT_MAC_F32, 2 * each); /* the recurrence; the sum with C */
    /* delta A and B u delta; the plain recurrence forms u delta anew for every state */
    add(t, QM_OP_SCAN, QM_COUNT_MUL_F32, (scan == QM_SCAN_REF ? 3 : 2) * each);
    if (scan != QM_SCAN_REF) add(t, QM_OP_SCAN, QM_COUNT_MUL_F32, n);
    /* D u starts the sum, or is added to it */
    const bool starts = scan == QM_SCAN_FUSED || scan == QM_SCAN_MAMBA;
    add(t, QM_OP_SCAN, starts ? QM_COUNT_MUL_F32 : QM_COUNT_MAC_F32, n);
    if (scan == QM_SCAN_MAMBA)
        add(t, QM_OP_SCAN, QM_COUNT_MUL_F32, t->state * t->e); /* A times log2(e) */
    add(t, QM_OP_SCAN, QM_COUNT_DRAM_BYTES, (t->state + 1) * t->e * sizeof(float)); /* A, D */
    add(t, QM_OP_SCAN, QM_COUNT_STATE_BYTES, 2 * t->state * t->e * state_bytes(t->plan));
    move(t, QM_OP_SCAN, n * (t->quantized ? t->u : t->number) + bc * t->dbl, 0);
}

static void count_gate(const tally *t)
{
    const uint64_t n = t->n * t->e;
    if (t->quantized && t->knobs->z == QM_Z_I8) dequantize(t, QM_OP_GATE, n);
    sigmoid(t, QM_OP_GATE, n);
    add(t, QM_OP_GATE, QM_COUNT_MUL_F32, is_step8(t) ? 2 * n : n);
    if (t->y == 2) add(t, QM_OP_GATE, QM_COUNT_ROUND_F16, n);
    move(t, QM_OP_GATE, n * t->z, n * t->y);
}

static void count_state(const tally *t)
{
    const uint64_t n = t->state * t->e;
    const uint64_t width = state_bytes(t->plan);
    if (!t->decode || width == sizeof(float)) return;
    if (width == 2) {
        add(t, QM_OP_STATE, QM_COUNT_ROUND_F16, n);
        return;
    }
    if (t->knobs->state != QM_STATE_I8STEP_AWAY)
        add(t, QM_OP_STATE, QM_COUNT_MUL_F32, n); /* 100 h / 100 s */
    snap(t, QM_OP_STATE, n);
}

static void count_hadamard(const tally *t)
{
    const uint64_t n = t->n * t->e;
    int32_t m, width;
    if (!t->plan->datapath->rotated || !qm_hadamard_split((int64_t)t->e, &m, &width)) return;
    for (int32_t stride = 1; stride < width; stride *= 2)
        add(t, QM_OP_HADAMARD, QM_COUNT_ADD_F32, n);
    if (m > 1) add(t, QM_OP_HADAMARD, QM_COUNT_ADD_F32, n * (uint64_t)m);
    add(t, QM_OP_HADAMARD, QM_COUNT_MUL_F32, n);
    /* the scale is part of that factor, so the codes take no division */
    if (t->quantized)
        add(t, QM_OP_HADAMARD, QM_COUNT_ROUND_I8, n);
    else
        round_half(t, QM_OP_HADAMARD, n);
    move(t, QM_OP_HADAMARD, n * t->y, n * (t->quantized ? 1 : t->y));
}

static void count_out_proj(const tally *t)
{
    const uint64_t n = t->n * t->d;
    multiply(t, QM_OP_OUT_PROJ, t->types->out_proj, t->n, t->d, t->e);
    if (t->quantized)
        rescale(t, QM_OP_OUT_PROJ, true, n);
    else
        round_half(t, QM_OP_OUT_PROJ, n);
    move(t, QM_OP_OUT_PROJ, t->n * t->e * (t->quantized ? 1 : t->y), n * t->number);
    add(t, QM_OP_RESIDUAL, QM_COUNT_ADD_F32, n);
    move(t, QM_OP_RESIDUAL, n * (t->number + sizeof(float)), n * sizeof(float));
}

static void count_layer(const tally *t)
{
    rms_norm(t, QM_OP_NORM, t->n);
    if (t->quantized)
        quantize(t, QM_OP_NORM, t->n * t->d);
    else
        round_half(t, QM_OP_NORM, t->n * t->d);
    move(t, QM_OP_NORM, t->n * t->d * sizeof(float), t->n * t->d * t->norm);
    count_in_proj(t);
    count_conv_in(t);
    count_conv(t);
    count_grid(t);
    count_x_proj(t);
    count_dt_proj(t);
    count_softplus(t);
    count_scan(t);
    count_gate(t);
    count_state(t);
    count_hadamard(t);
    count_out_proj(t);
}

/* ---- outside the layers ---------------------------------------------------------------------- */

static void count_outside(const tally *t)
{
    const qm_plan *p = t->plan;
    const bool codes = p->head == QM_I8;
    const uint64_t row = t->d * qm_dtype_size(p->embedding) + (p->embedding == QM_I8 ? 4 : 0);
    add(t, QM_OP_EMBED, QM_COUNT_DRAM_BYTES, t->n * row);
    if (p->embedding == QM_I8) {
        dequantize(t, QM_OP_EMBED, t->n * t->d);
        round_half(t, QM_OP_EMBED, t->n * t->d);
    }
    move(t, QM_OP_EMBED, 0, t->n * t->d * sizeof(float));
    /* of the last token */
    rms_norm(t, QM_OP_NORM_F, 1);
    if (p->norm_f_kind == QM_NORM_F_DEQUANT) {
        add(t, QM_OP_NORM_F, QM_COUNT_MAX_F32, t->d);
        add(t, QM_OP_NORM_F, QM_COUNT_DIV, 1);
        snap(t, QM_OP_NORM_F, t->d);
    }
    if (codes)
        quantize(t, QM_OP_NORM_F, t->d);
    else
        round_half(t, QM_OP_NORM_F, t->d);
    const uint64_t width = codes ? 1 : t->number;
    move(t, QM_OP_NORM_F, t->d * sizeof(float), t->d * width);
    multiply(t, QM_OP_HEAD, p->head, 1, t->v, t->d);
    if (codes)
        rescale(t, QM_OP_HEAD, true, t->v);
    else
        round_half(t, QM_OP_HEAD, t->v);
    if (p->head_bias) {
        add(t, QM_OP_HEAD, QM_COUNT_ADD_F32, t->v);
        add(t, QM_OP_HEAD, QM_COUNT_DRAM_BYTES, t->v * sizeof(float));
        round_half(t, QM_OP_HEAD, t->v);
    }
    move(t, QM_OP_HEAD, t->d * width, t->v * t->number);
}

/* ---- whole ----------------------------------------------------------------------------------- */

static void find_widths(tally *t)
{
    const qm_knobs *k = t->knobs;
    t->number = t->half ? 2 : 4;
    t->norm = t->x = t->z = t->xp = t->u = t->dbl = t->dt = t->y = t->number;
    if (!t->quantized) return;
    t->norm = 1;
    t->x = k->ip == QM_IP_I8 ? 1 : k->ip == QM_IP_F16 ? 2 : 4;
    t->z = k->z == QM_Z_I8 ? 1 : 4;
    t->xp = k->xp == QM_XP_VAL ? 4 : 1;
    t->u = k->u == QM_U_DEQ || k->u == QM_U_VAL ? 4 : 1;
    t->dbl = k->lin == QM_LIN_INT8 ? 1 : 4;
    t->dt = k->lin == QM_LIN_INT8 || has_codes_of_dt(t) ? 1 : 4;
    t->y = k->y == QM_Y_F16 ? 2 : 4;
}

/* Every operation takes its operands from the nearest memory: two codes, two numbers or one. */
static void count_local(qm_counts *counts)
{
    static const uint8_t bytes[QM_N_OPERATIONS] = {
        [QM_COUNT_MAC_I8] = 2,   [QM_COUNT_MAC_F32] = 8,  [QM_COUNT_MUL_F32] = 8,
        [QM_COUNT_ADD_F32] = 8,  [QM_COUNT_MAX_F32] = 8,  [QM_COUNT_DIV] = 8,
        [QM_COUNT_SQRT] = 4,     [QM_COUNT_EXP] = 4,      [QM_COUNT_LOG] = 4,
        [QM_COUNT_ROUND_I8] = 4, [QM_COUNT_ROUND_F16] = 4};
    for (int i = 0; i < QM_N_OPERATORS; i++)
        for (int k = 0; k < QM_N_OPERATIONS; k++)
            counts->of[i][QM_COUNT_LOCAL_BYTES] += bytes[k] * counts->of[i][k];
}

void qm_count_operators(qm_counts *counts, const qm_plan *plan, const qm_layer_types *types,
                        const qm_workload *work)
{
    const qm_config *c = &plan->config;
    *counts = (qm_counts){0};
    tally t = {.counts = counts,
               .plan = plan,
               .types = types,
               .knobs = &plan->datapath->knobs,
               .n = work->n_tokens,
               .d = (uint64_t)c->d_model,
               .e = (uint64_t)c->d_inner,
               .state = (uint64_t)c->d_state,
               .width = (uint64_t)c->d_conv,
               .rank = (uint64_t)c->dt_rank,
               .v = (uint64_t)c->n_vocab,
               .quantized = c->quantized,
               .decode = work->decode,
               .half = plan->datapath->activation == QM_FORMAT_F16};
    find_widths(&t);
    if (types)
        count_layer(&t);
    else
        count_outside(&t);
    count_local(counts);
}

/* ---- storage --------------------------------------------------------------------------------- */

static void store_scales(qm_stores *s, const qm_plan *plan)
{
    const qm_knobs *k = &plan->datapath->knobs;
    const bool projections = k->lin == QM_LIN_INT8, by_run = k->cin != QM_CIN_STATIC;
    const uint64_t n[QM_N_OPERATORS] = {
        [QM_OP_NORM] = 1,
        [QM_OP_IN_PROJ] = k->ip == QM_IP_I8 && k->z == QM_Z_I8   ? 2
                          : k->ip != QM_IP_I8 && k->z != QM_Z_I8 ? 2
                                                                 : 3,
        [QM_OP_CONV_IN] = k->ip != QM_IP_I8 && !by_run,
        [QM_OP_CONV] = k->conv == QM_CONV_DEQ && !by_run ? 2 : 1,
        [QM_OP_GRID] = k->grid == QM_GRID_CDUAL ? 2 : 1,
        [QM_OP_X_PROJ] = projections || k->bc == QM_BC_I8 || k->bc == QM_BC_VQ ? 2 : 1,
        [QM_OP_DT_PROJ] = projections || k->bc != QM_BC_F32 ? 2 : 1,
        [QM_OP_SOFTPLUS] = k->bc == QM_BC_I8 || k->bc == QM_BC_I8LATE,
        [QM_OP_SCAN] = projections || k->bc == QM_BC_I8LATE ? 2 : 0,
        [QM_OP_GATE] = k->z == QM_Z_I8,
        [QM_OP_STATE] = state_bytes(plan) == 1,
        [QM_OP_HADAMARD] = 1,
        [QM_OP_OUT_PROJ] = 2,
    };
    for (int i = 0; i < QM_N_OPERATORS; i++)
        s->of[i][QM_STORE_SCALES] = n[i] * sizeof(float);
}

void qm_count_storage(qm_stores *stores, const qm_plan *plan, const qm_layer_types *types)
{
    const qm_config *c = &plan->config;
    qm_counts step;
    qm_count_operators(&step, plan, types, &(qm_workload){.n_tokens = 1, .decode = true});
    *stores = (qm_stores){0};
    for (int i = 0; i < QM_N_OPERATORS; i++) { /* a step reads all weights once, and all state */
        stores->of[i][QM_STORE_WEIGHTS] = step.of[i][QM_COUNT_DRAM_BYTES];
        stores->of[i][QM_STORE_STATE] = step.of[i][QM_COUNT_STATE_BYTES] / 2;
    }
    if (types) {
        if (c->quantized) store_scales(stores, plan);
        return;
    }
    /* a step reads one row of the embedding */
    const uint64_t rows = (uint64_t)c->n_vocab;
    stores->of[QM_OP_EMBED][QM_STORE_WEIGHTS] *= c->tie_embeddings ? 0 : rows;
    if (plan->head == QM_I8) {
        stores->of[QM_OP_NORM_F][QM_STORE_SCALES] = sizeof(float);
        stores->of[QM_OP_HEAD][QM_STORE_SCALES] = 2 * sizeof(float);
    }
    int32_t m, width;
    if (plan->datapath->rotated && qm_hadamard_split(c->d_inner, &m, &width) && m > 1)
        stores->of[QM_OP_HADAMARD][QM_STORE_TABLES] = (uint64_t)m * (uint64_t)m;
}

uint64_t qm_count_total(const qm_counts *counts, qm_count_kind kind)
{
    uint64_t sum = 0;
    for (int i = 0; i < QM_N_OPERATORS; i++)
        sum += counts->of[i][kind];
    return sum;
}
