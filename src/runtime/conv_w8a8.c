/* The convolution of a quantized layer and what it hands on: codes or numbers to x_proj, numbers on
 * or off the INT8 grid to the scan.  Every step works on one thread's channels; only what looks at
 * all channels of a token (a run-time scale) makes the threads meet. */
#include "datapath/grid.h"
#include "runtime/pass.h"

#include <math.h>
#include <string.h>

/* One thread's view of one segment of one layer. */
typedef struct stage {
    const qm_thread *t;
    const qm_segment *seg;
    const qm_layer *l;
    const qm_knobs *knobs;
    int32_t layer;
    size_t e, width, at, n; /* d_inner, d_conv; channels [at, at + n) are ours */
} stage;

static stage stage_of(const qm_thread *t, const qm_segment *seg, int32_t layer, qm_range range)
{
    const quamba_model *m = t->s->model;
    return (stage){.t = t,
                   .seg = seg,
                   .l = &m->layers[layer],
                   .knobs = &m->datapath->knobs,
                   .layer = layer,
                   .e = (size_t)m->config.d_inner,
                   .width = (size_t)m->config.d_conv,
                   .at = (size_t)range.begin,
                   .n = (size_t)(range.end - range.begin)};
}

static size_t row_of(const stage *g, size_t r) { return (size_t)g->seg->first_row + r; }

/* Codes of x of the segment's row r, and of the state's row k, this thread's channels. */
static int8_t *x_codes(const stage *g, size_t r)
{
    return g->t->s->codes.xz + row_of(g, r) * 2 * g->e + g->at;
}

static int8_t *state_codes(const stage *g, size_t k)
{
    return g->seg->session->conv_codes + ((size_t)g->layer * g->width + k) * g->e + g->at;
}

/* ---- scales found at run time -----------------------------------------------------------------
 */

/* What this thread's channels contribute to the maximum of a row. */
static float *own_maximum(const qm_thread *t, size_t row)
{
    return &t->s->maxima[(size_t)t->id * (size_t)t->s->options.max_rows + row];
}

/* The maximum over all channels of rows [first, first + n); all threads have written theirs. */
static float maximum_over(const qm_thread *t, size_t first, size_t n)
{
    float largest = 0.0f;
    for (int32_t id = 0; id < t->n_threads; id++)
        for (size_t r = first; r < first + n; r++)
            largest = fmaxf(largest, t->s->maxima[(size_t)id * (size_t)t->s->options.max_rows + r]);
    return largest;
}

/* The same for the row that a rule looks at: the token, or the whole prompt. */
static float maximum_for(const stage *g, size_t r, bool whole_prompt)
{
    return whole_prompt ? maximum_over(g->t, row_of(g, 0), (size_t)g->seg->n_rows)
                        : maximum_over(g->t, row_of(g, r), 1);
}

static bool by_tensor(const stage *g)
{
    return g->knobs->cin == QM_CIN_DYN_TENSOR && !g->seg->decode;
}

/* The scale of the convolution's input: max abs / 127, or 1 where all is 0. */
static float dynamic_scale(const stage *g, size_t r)
{
    const float largest = maximum_for(g, r, by_tensor(g));
    return largest > 0.0f ? largest / 127.0f : 1.0f;
}

/* Scale of the tap k places after the oldest of token r: the state's, or the segment's. */
static float tap_scale(const stage *g, size_t r, size_t k)
{
    const float *kept = g->seg->session->conv_scales + (size_t)g->layer * g->width;
    if (r + k + 1 < g->width) return kept[r + k + 1];
    return g->t->s->input_scales[row_of(g, r + k + 1 - g->width)];
}

/* x, which in_proj left as numbers, at the calibrated scale. */
static void quantize_inputs_static(const qm_thread *t, int32_t layer, qm_range range)
{
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const stage g = stage_of(t, &t->pass->segments[i], layer, range);
        for (size_t r = 0; r < (size_t)g.seg->n_rows; r++)
            qm_count_lost(t, (int32_t)row_of(&g, r), QM_EDGE_CONV_IN, layer,
                          t->s->kernels.quantize_even_i8(x_codes(&g, r),
                                                         t->s->x + row_of(&g, r) * g.e + g.at,
                                                         g.l->scales.x, g.n));
    }
}

/* x at a run-time scale, for all segments. */
static void quantize_inputs(const qm_thread *t, int32_t layer, qm_range range)
{
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const stage g = stage_of(t, &t->pass->segments[i], layer, range);
        for (size_t r = 0; r < (size_t)g.seg->n_rows; r++) {
            const float *x = t->s->x + row_of(&g, r) * g.e + g.at;
            float *largest = own_maximum(t, row_of(&g, r));
            *largest = 0.0f;
            for (size_t c = 0; c < g.n; c++)
                *largest = fmaxf(*largest, fabsf(x[c]));
        }
    }
    qm_meet(t);
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const stage g = stage_of(t, &t->pass->segments[i], layer, range);
        float scale = 0.0f;
        for (size_t r = 0; r < (size_t)g.seg->n_rows; r++) {
            if (r == 0 || !by_tensor(&g)) scale = dynamic_scale(&g, r);
            if (t->id == 0) t->s->input_scales[row_of(&g, r)] = scale;
            qm_count_lost(t, (int32_t)row_of(&g, r), QM_EDGE_CONV_IN, layer,
                          t->s->kernels.quantize_even_i8(
                              x_codes(&g, r), t->s->x + row_of(&g, r) * g.e + g.at, scale, g.n));
        }
    }
    qm_meet(t);
}

/* The codes that the convolution reads, where in_proj left numbers: token by token, each may have
 * its own scale. */
static void show_inputs(const qm_thread *t, int32_t layer)
{
    const quamba_session *s = t->s;
    const size_t e = (size_t)s->model->config.d_inner;
    if (!t->tapped) return;
    qm_meet(t);
    for (int32_t i = 0; t->id == 0 && i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        for (int32_t row = seg->first_row; row < seg->first_row + seg->n_rows; row++)
            qm_show_row(seg, QM_EDGE_CONV_IN, layer, row, NULL, s->codes.xz + (size_t)row * 2 * e,
                        s->input_scales ? s->input_scales[row] : s->model->layers[layer].scales.x,
                        s->model->config.d_inner);
    }
    qm_meet(t);
}

/* ---- convolution ------------------------------------------------------------------------------
 */

static void find_taps(const stage *g, size_t r, const int8_t *taps[QM_MAX_CONV])
{
    for (size_t k = 0; k < g->width; k++) /* token r - (width-1) + k; before the segment: state */
        taps[k] =
            r + k + 1 < g->width ? state_codes(g, r + k + 1) : x_codes(g, r + k + 1 - g->width);
}

/* The scale that all taps of a token have; 0 when they differ.  A tap before the first token holds
 * zeros, at a scale of 0, and fits every other. */
static float common_scale(const stage *g, size_t r)
{
    float common = 0.0f;
    for (size_t k = 0; k < g->width; k++) {
        const float scale = tap_scale(g, r, k);
        if (scale == 0.0f || scale == common) continue;
        if (common > 0.0f) return 0.0f;
        common = scale;
    }
    return common;
}

/* Exact products, one FP32 affine step; taps at scales of their own are added one by one. */
static void convolve_int(const stage *g, size_t r, float *v)
{
    const int8_t *taps[QM_MAX_CONV];
    const float *bias = g->l->conv_bias + g->at;
    float factor = g->l->conv_factor;
    find_taps(g, r, taps);
    if (g->knobs->cin != QM_CIN_STATIC) factor = g->l->scales.w * common_scale(g, r);
    if (factor > 0.0f) {
        g->t->s->kernels.conv_i8(v, taps, g->l->conv_codes + g->at, g->e, factor, bias, g->n,
                                 g->width);
        return;
    }
    memcpy(v, bias, g->n * sizeof *v);
    for (size_t k = 0; k < g->width; k++) {
        const float scale = g->l->scales.w * tap_scale(g, r, k);
        const int8_t *w = g->l->conv_codes + k * g->e + g->at;
        for (size_t c = 0; c < g->n; c++)
            v[c] = fmaf(scale * (float)w[c], (float)taps[k][c], v[c]);
    }
}

/* Weights and inputs dequantized first, then the FP32 convolution. */
static void convolve_deq(const stage *g, size_t r, float *v)
{
    const int8_t *codes[QM_MAX_CONV];
    const float *taps[QM_MAX_CONV];
    const qm_kernels *kernels = &g->t->s->kernels;
    float *weight = g->t->deq, *input = g->t->deq + g->width * g->e;
    find_taps(g, r, codes);
    for (size_t k = 0; k < g->width; k++) {
        const float scale = g->knobs->cin == QM_CIN_STATIC ? g->l->scales.x : tap_scale(g, r, k);
        kernels->dequantize_i8(weight + k * g->n, g->l->conv_codes + k * g->e + g->at,
                               g->l->scales.w, g->n);
        kernels->dequantize_i8(input + k * g->n, codes[k], scale, g->n);
        taps[k] = input + k * g->n;
    }
    kernels->conv_f32(v, taps, weight, g->n, g->l->conv_bias + g->at, g->n, g->width);
}

/* v = SiLU(convolution) of one token.  Where upstream dequantizes first it also multiplies by the
 * sigmoid instead of dividing. */
static void convolve_token(const stage *g, size_t r, float *v)
{
    const qm_kernels *kernels = &g->t->s->kernels;
    if (g->knobs->conv == QM_CONV_INT) {
        convolve_int(g, r, v);
        kernels->silu_f32(v, g->n);
        return;
    }
    float *a = g->t->z;
    convolve_deq(g, r, a);
    for (size_t c = 0; c < g->n; c++)
        v[c] = 1.0f;
    kernels->gate_sigmoid_f32(v, a, g->n);
}

/* The last inputs stay for the tokens to come.  Oldest first, so a row is read before it is
 * replaced. */
static void keep_inputs(const stage *g)
{
    for (size_t k = 0; k < g->width; k++) {
        size_t from = (size_t)g->seg->n_rows + k; /* in state rows, then in new rows */
        memmove(state_codes(g, k),
                from < g->width ? state_codes(g, from) : x_codes(g, from - g->width), g->n);
    }
}

void qm_keep_input_scales(const qm_thread *t, int32_t layer)
{
    if (t->s->model->datapath->knobs.cin == QM_CIN_STATIC || t->id != 0) return;
    const size_t width = (size_t)t->s->model->config.d_conv;
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const qm_segment *seg = &t->pass->segments[i];
        float *kept = seg->session->conv_scales + (size_t)layer * width;
        for (size_t k = 0; k < width; k++) {
            size_t from = (size_t)seg->n_rows + k;
            kept[k] = from < width ? kept[from]
                                   : t->s->input_scales[(size_t)seg->first_row + from - width];
        }
    }
}

/* ---- what is handed on ------------------------------------------------------------------------
 */

static void quantize(const stage *g, size_t r, qm_edge edge, int8_t *codes, const float *v)
{
    const qm_kernels *kernels = &g->t->s->kernels;
    const float scale = g->l->scales.u;
    qm_count_lost(g->t, (int32_t)row_of(g, r), edge, g->layer,
                  g->knobs->rnd == QM_RND_EVEN ? kernels->quantize_even_i8(codes, v, scale, g->n)
                                               : kernels->quantize_away_i8(codes, v, scale, g->n));
}

/* From v, in place: x_proj's codes (or numbers), and the number the scan takes as u. */
static void hand_on(const stage *g, size_t r, float *v, float s2)
{
    const qm_kernels *kernels = &g->t->s->kernels;
    const qm_knobs *knobs = g->knobs;
    const size_t offset = row_of(g, r) * g->e + g->at;
    int8_t *codes = g->t->s->codes.u + offset;
    float *u = g->t->s->u + offset;
    if (knobs->grid == QM_GRID_I8) {
        quantize(g, r, QM_EDGE_CONV_OUT, codes, v);
        kernels->dequantize_i8(u, codes, g->l->scales.u, g->n);
    } else {
        if (knobs->xp == QM_XP_CODES || knobs->xp == QM_XP_REQ)
            quantize(g, r, QM_EDGE_X_PROJ_IN, codes, v);
        qm_grid_apply(knobs->grid, knobs->rnd, v, g->n, g->l->scales.u, s2);
        if (knobs->xp == QM_XP_REQ_GRID) quantize(g, r, QM_EDGE_X_PROJ_IN, codes, v);
        if (u != v) memcpy(u, v, g->n * sizeof *u);
    }
    if (g->t->s->xp_numbers !=
        g->t->s->conv) /* x_proj multiplies numbers, here dequantized codes */
        kernels->dequantize_i8(g->t->s->xp_numbers + offset, codes, g->l->scales.u, g->n);
    if (knobs->u == QM_U_DEQ_REQ || knobs->u == QM_U_REQ) {
        quantize(g, r, QM_EDGE_SCAN_IN, g->t->state_codes, u);
        kernels->dequantize_i8(u, g->t->state_codes, g->l->scales.u, g->n);
    }
}

void qm_convolve_w8a8(const qm_thread *t, int32_t layer, qm_range range)
{
    const quamba_session *s = t->s;
    const qm_knobs *knobs = &s->model->datapath->knobs;
    if (knobs->cin != QM_CIN_STATIC)
        quantize_inputs(t, layer, range);
    else if (knobs->ip != QM_IP_I8)
        quantize_inputs_static(t, layer, range);
    if (knobs->ip != QM_IP_I8) show_inputs(t, layer);
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const stage g = stage_of(t, &t->pass->segments[i], layer, range);
        for (size_t r = 0; r < (size_t)g.seg->n_rows; r++) {
            float *v = s->conv + row_of(&g, r) * g.e + g.at;
            convolve_token(&g, r, v);
            if (knobs->grid == QM_GRID_DUAL)
                *own_maximum(t, row_of(&g, r)) =
                    qm_grid_largest_outlier(knobs->rnd, v, g.n, g.l->scales.u);
            else
                hand_on(&g, r, v, g.l->scales.u_unclipped);
        }
        keep_inputs(&g);
    }
    if (knobs->grid != QM_GRID_DUAL) return;
    qm_meet(t);
    for (int32_t i = 0; i < t->pass->n_segments; i++) {
        const stage g = stage_of(t, &t->pass->segments[i], layer, range);
        float s2 = 0.0f;
        for (size_t r = 0; r < (size_t)g.seg->n_rows; r++) {
            if (r == 0 || g.seg->decode)
                s2 = qm_grid_second_scale(maximum_for(&g, r, !g.seg->decode), g.l->scales.u);
            hand_on(&g, r, s->conv + row_of(&g, r) * g.e + g.at, s2);
        }
    }
}
