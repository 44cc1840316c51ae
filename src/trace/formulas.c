/* What an edge is in a mode: its type, its scale, and the formula of its operator. */
#include "datapath/datapath.h"
#include "trace/edges.h"

#include <stdio.h>
#include <string.h>

/* What the descriptions below read. */
typedef struct view {
    const quamba_model *m;
    const quamba_datapath *dp;
    const qm_knobs *k;
    int32_t layer;
    const qm_layer *l; /* NULL for the head */
    const qm_trace_setting *setting;
    bool quantized;
    bool step8; /* a decode step goes through upstream's decode kernel */
    qm_trace_facts *f;
} view;

static void absent(const view *v, const char *why) { v->f->absent = why; }

static void codes(const view *v, float scale, const char *inputs, const char *formula)
{
    v->f->dtype = QM_I8;
    v->f->scale = scale;
    v->f->inputs = inputs;
    snprintf(v->f->formula, sizeof v->f->formula, "%s", formula);
}

static void numbers(const view *v, qm_dtype dtype, const char *inputs, const char *formula)
{
    v->f->dtype = dtype;
    v->f->inputs = inputs;
    snprintf(v->f->formula, sizeof v->f->formula, "%s", formula);
}

static void in_steps(const view *v, const char *formula)
{
    snprintf(v->f->in_steps, sizeof v->f->in_steps, "%s", formula);
}

/* A result of a floating-point operator: rounded to half where the mode rounds. */
static void rounded(const view *v, const char *inputs, const char *formula)
{
    const bool half = v->dp->activation == QM_FORMAT_F16;
    numbers(v, half ? QM_F16 : QM_F32, inputs, "");
    snprintf(v->f->formula, sizeof v->f->formula, half ? "half(%s)" : "%s", formula);
}

/* R of the row: the rounding of the convolution's output. */
static const char *ties(const view *v) { return v->k->rnd == QM_RND_EVEN ? "RE" : "RA"; }

static void residual_in(const view *v)
{
    if (v->layer > 0)
        numbers(v, QM_F32, "", "residual of the layer before");
    else if (v->m->embedding.dtype == QM_I8)
        numbers(v, QM_F32, "", "half(embedding scale of the token * embedding code)");
    else
        numbers(v, QM_F32, "", "embedding of the token");
}

#define QM_NORM_TEXT                                                                               \
    "((residual_in * r) * norm_weight), r = 1 / sqrt(dot(residual_in, residual_in) / d_model + "   \
    "norm_eps)"

static void norm_out(const view *v)
{
    if (v->quantized)
        codes(v, v->l->scales.in, "residual_in norm_weight norm_eps norm_scale",
              "sat8(RE(n / norm_scale)), n = " QM_NORM_TEXT);
    else if (v->dp->activation == QM_FORMAT_F16)
        numbers(v, QM_F16, "residual_in norm_weight norm_eps", "half(n), n = " QM_NORM_TEXT);
    else
        numbers(v, QM_F32, "residual_in norm_weight norm_eps", QM_NORM_TEXT);
}

static void exact_sums(const view *v, bool integers, const char *inputs, const char *formula)
{
    if (integers)
        numbers(v, QM_I32, inputs, formula);
    else
        absent(v, "the mode multiplies numbers here, not codes");
}

static bool integer_projections(const view *v) { return v->quantized && v->k->lin == QM_LIN_INT8; }

static void in_proj_acc(const view *v)
{
    exact_sums(v, v->quantized, "norm_out in_proj_weight",
               "sum over i of in_proj_weight[j][i] * norm_out[i]; exact");
}

static void x_proj_acc(const view *v)
{
    exact_sums(v, integer_projections(v), "x_proj_in x_proj_weight",
               "sum over i of x_proj_weight[j][i] * x_proj_in[i]; exact");
}

static void dt_proj_acc(const view *v)
{
    exact_sums(v, integer_projections(v), "x_proj_out dt_proj_weight",
               "sum over i < dt_rank of dt_proj_weight[d][i] * x_proj_out[i]; exact");
}

static void out_proj_acc(const view *v)
{
    exact_sums(v, v->quantized, "hadamard_out out_proj_weight",
               "sum over i of out_proj_weight[j][i] * hadamard_out[i]; exact");
}

static void in_proj(const view *v, bool z)
{
    const bool is_codes = v->quantized && (z ? v->k->z == QM_Z_I8 : v->k->ip == QM_IP_I8);
    if (!v->quantized) {
        rounded(v, "norm_out in_proj_weight",
                z ? "dot(in_proj_weight[d_inner + d], norm_out)"
                  : "dot(in_proj_weight[d], norm_out)");
    } else if (is_codes) {
        codes(v, z ? v->l->scales.z : v->l->scales.x, "in_proj_acc in_proj_a in_proj_b",
              z ? "sat8(RE(in_proj_b * (in_proj_a * in_proj_acc[d_inner + d])))"
                : "sat8(RE(in_proj_b * (in_proj_a * in_proj_acc[d])))");
    } else {
        const bool half = !z && v->k->ip == QM_IP_F16;
        numbers(v, half ? QM_F16 : QM_F32, "in_proj_acc norm_scale in_proj_b",
                z      ? "norm_scale * (in_proj_b * in_proj_acc[d_inner + d])"
                : half ? "half(norm_scale * (in_proj_b * in_proj_acc[d]))"
                       : "norm_scale * (in_proj_b * in_proj_acc[d])");
    }
}

static void in_proj_x(const view *v) { in_proj(v, false); }
static void in_proj_z(const view *v) { in_proj(v, true); }

static void conv_in_scale(const view *v)
{
    if (!v->quantized || v->k->cin == QM_CIN_STATIC)
        absent(v, "the convolution's input has no scale that is found at run time");
    else
        numbers(v, QM_F32, "in_proj_x", "max abs of the token's in_proj_x / 127; 1 where all is 0");
    if (v->f->absent == NULL && v->k->cin == QM_CIN_DYN_TENSOR) {
        numbers(v, QM_F32, "in_proj_x",
                "max abs of the prompt's in_proj_x / 127; 1 where all is 0");
        in_steps(v, "max abs of the token's in_proj_x / 127; 1 where all is 0");
    }
}

static void conv_in(const view *v)
{
    if (!v->quantized)
        rounded(v, "in_proj_x", "in_proj_x");
    else if (v->k->cin != QM_CIN_STATIC)
        codes(v, 0, "in_proj_x conv_in_scale", "sat8(RE(in_proj_x / conv_in_scale))");
    else if (v->k->ip == QM_IP_I8)
        codes(v, v->l->scales.x, "in_proj_x x_scale", "in_proj_x");
    else
        codes(v, v->l->scales.x, "in_proj_x x_scale", "sat8(RE(in_proj_x / x_scale))");
    if (!v->quantized) snprintf(v->f->formula, sizeof v->f->formula, "in_proj_x");
}

/* The taps of every traced token have one scale, so there is an integer sum. */
static bool has_conv_sum(const view *v)
{
    if (!v->quantized || v->k->conv != QM_CONV_INT) return false;
    return v->k->cin == QM_CIN_STATIC || (v->k->cin == QM_CIN_DYN_TENSOR && !v->setting->steps);
}

static void conv_acc(const view *v)
{
    if (!v->quantized || v->k->conv != QM_CONV_INT)
        absent(v, "the convolution multiplies numbers here, not codes");
    else if (!has_conv_sum(v))
        absent(v, "the taps of a token may have different scales, so there is no integer sum");
    else
        numbers(v, QM_I32, "conv_in conv_weight",
                "sum over k of conv_weight[k][d] * conv_in[t - (d_conv - 1) + k][d], 0 before the "
                "first token; exact");
}

#define QM_FMA_CHAIN                                                                               \
    "starts at conv_bias[d], then for k = 0 .. d_conv-1 fma(%s, %s, sum), i = t - (d_conv - 1) + " \
    "k"

static void conv_pre(const view *v)
{
    char chain[300];
    if (!v->quantized) {
        snprintf(chain, sizeof chain, QM_FMA_CHAIN, "conv_weight[k][d]", "conv_in[i][d]");
        numbers(v, QM_F32, "conv_in conv_weight conv_bias", chain);
    } else if (v->k->conv == QM_CONV_DEQ) {
        snprintf(chain, sizeof chain, QM_FMA_CHAIN, "conv_weight_scale * conv_weight[k][d]",
                 "x_scale * conv_in[i][d]");
        numbers(v, QM_F32, "conv_in conv_weight conv_weight_scale x_scale conv_bias", chain);
        if (v->k->cin != QM_CIN_STATIC) {
            snprintf(chain, sizeof chain, QM_FMA_CHAIN, "conv_weight_scale * conv_weight[k][d]",
                     "conv_in_scale[i] * conv_in[i][d]");
            numbers(v, QM_F32, "conv_in conv_in_scale conv_weight conv_weight_scale conv_bias",
                    chain);
        }
    } else if (v->k->cin == QM_CIN_STATIC) {
        numbers(v, QM_F32, "conv_acc conv_factor conv_bias",
                "fma(conv_factor, conv_acc, conv_bias[d])");
    } else if (has_conv_sum(v)) {
        numbers(v, QM_F32, "conv_acc conv_in_scale conv_weight_scale conv_bias",
                "fma(conv_weight_scale * conv_in_scale, conv_acc, conv_bias[d])");
    } else {
        snprintf(v->f->formula, sizeof v->f->formula,
                 "where all taps share a scale fma(conv_weight_scale * conv_in_scale, exact sum, "
                 "conv_bias[d]); else " QM_FMA_CHAIN,
                 "(conv_weight_scale * conv_in_scale[i]) * conv_weight[k][d]", "conv_in[i][d]");
        v->f->dtype = QM_F32;
        v->f->inputs = "conv_in conv_in_scale conv_weight conv_weight_scale conv_bias";
    }
}

static void conv_silu(const view *v)
{
    numbers(v, QM_F32, "conv_pre",
            v->quantized && v->k->conv == QM_CONV_DEQ ? "conv_pre * (1 / (1 + exp(-conv_pre)))"
                                                      : "conv_pre / (1 + exp(-conv_pre))");
}

static void grid_scale(const view *v)
{
    if (!v->quantized || v->k->grid != QM_GRID_DUAL) {
        absent(v, "the convolution's output has no second scale that is found at run time");
        return;
    }
    const char *text = "max(m / 127, u_scale), m = max abs of the %s's conv_silu whose code at "
                       "u_scale does not fit 7 bits, 0 where all fit";
    numbers(v, QM_F32, "conv_silu u_scale", "");
    snprintf(v->f->formula, sizeof v->f->formula, text, "prompt");
    snprintf(v->f->in_steps, sizeof v->f->in_steps, text, "token");
}

/* Formulas of the grids; R stands for the row's rounding, v for conv_silu, s for u_scale. */
static const char *const grid_formulas[] = {
    [QM_GRID_I8] = "sat8(R(v / s))",
    [QM_GRID_F32] = "v",
    [QM_GRID_VQ] = "sat8(R(v / s)) * s",
    [QM_GRID_SEL] = "q * s, q = R(v / s); v itself where abs(q) > 127",
    [QM_GRID_DUAL] = "sat8(R(v / s)) * s, with grid_scale for s where abs(R(v / s)) > 127",
    [QM_GRID_HALF] = "h = s / 2; clamp(R(v / h), -127, 127) * h where abs(R(v / s)) < 64, else "
                     "sat8(R(v / s)) * s",
    [QM_GRID_QUARTER] = "k = s / 4; clamp(R(v / k), -127, 127) * k where abs(R(v / s)) < 32, else "
                        "sat8(R(v / s)) * s",
    [QM_GRID_QLOG2] =
        "k = s / 4, T = 32 k; clamp(R(v / k), -127, 127) * k up to T, beyond "
        "sign(v) * (T + 2^e k), e = clamp(floor(log2(max(abs v - T, k) / k)), 0, 255)",
    [QM_GRID_SEG3] =
        "clamp(R(v / (s/4)), -63, 63) * (s/4) up to 63 s/4, clamp(R(abs v / s), 16, "
        "143) * s up to 143 s, beyond 143 s + clamp(R((abs v - 143 s) / (4 s)), 0, 63) "
        "* 4 s, with the sign of v",
    [QM_GRID_CDUAL] = "sat8(R(v / s)) * s, with u_scale_unclipped for s where abs(R(v / s)) > 127",
};

static void conv_out(const view *v)
{
    if (!v->quantized) {
        rounded(v, "conv_silu", "conv_silu");
        return;
    }
    const bool is_codes = v->k->grid == QM_GRID_I8;
    v->f->dtype = is_codes ? QM_I8 : QM_F32;
    v->f->scale = is_codes ? v->l->scales.u : 0.0f;
    v->f->inputs = v->k->grid == QM_GRID_DUAL    ? "conv_silu u_scale grid_scale"
                   : v->k->grid == QM_GRID_CDUAL ? "conv_silu u_scale u_scale_unclipped"
                   : v->k->grid == QM_GRID_F32   ? "conv_silu"
                                                 : "conv_silu u_scale";
    snprintf(v->f->formula, sizeof v->f->formula, "%s; v = conv_silu, s = u_scale, R = %s",
             grid_formulas[v->k->grid], ties(v));
    if (v->k->grid == QM_GRID_F32) snprintf(v->f->formula, sizeof v->f->formula, "conv_silu");
}

static void x_proj_in(const view *v)
{
    char text[100];
    if (!v->quantized) {
        absent(v, "x_proj reads conv_out");
    } else if (v->k->xp == QM_XP_VAL) {
        numbers(v, QM_F32, "conv_out", "conv_out");
    } else if (v->k->grid == QM_GRID_I8) {
        codes(v, v->l->scales.u, "conv_out u_scale", "conv_out");
    } else {
        const char *from = v->k->xp == QM_XP_REQ_GRID ? "conv_out" : "conv_silu";
        snprintf(text, sizeof text, "sat8(%s(%s / u_scale))", ties(v), from);
        codes(v, v->l->scales.u,
              v->k->xp == QM_XP_REQ_GRID ? "conv_out u_scale" : "conv_silu u_scale", text);
    }
}

/* dot() of a matrix whose codes are dequantized first, and of what stands before it. */
static void x_proj_out(const view *v)
{
    if (!v->quantized) {
        rounded(v, "conv_out x_proj_weight", "dot(x_proj_weight[j], conv_out)");
    } else if (v->k->lin == QM_LIN_INT8) {
        codes(v, v->l->scales.b, "x_proj_acc x_proj_a x_proj_b",
              "sat8(RE(x_proj_a * (x_proj_b * x_proj_acc)))");
    } else {
        const bool on_grid = v->k->bc != QM_BC_F32 && v->k->bc != QM_BC_I8LATE;
        const bool from_codes = v->k->xp != QM_XP_VAL;
        v->f->dtype = QM_F32;
        v->f->inputs = on_grid ? "x_proj_in x_proj_weight x_proj_b u_scale b_scale"
                               : "x_proj_in x_proj_weight x_proj_b u_scale";
        snprintf(
            v->f->formula, sizeof v->f->formula, "%sdot(x_proj_b * x_proj_weight[j], %sx_proj_in)",
            on_grid ? "b_scale * sat8(RE(p / b_scale)), p = " : "", from_codes ? "u_scale * " : "");
    }
}

static void scan_vector(const view *v, bool is_c)
{
    const char *part = is_c ? "x_proj_out[dt_rank + d_state + n]" : "x_proj_out[dt_rank + n]";
    const char *scale = is_c ? "c_scale" : "b_scale";
    char text[160];
    snprintf(text, sizeof text, "%s", part);
    if (v->quantized && v->k->lin == QM_LIN_INT8)
        snprintf(text, sizeof text, "%s * %s", scale, part);
    else if (v->quantized && v->k->bc == QM_BC_I8LATE)
        snprintf(text, sizeof text, "%s * sat8(RE(%s / %s))", scale, part, scale);
    const bool half = !v->quantized && v->dp->activation == QM_FORMAT_F16;
    numbers(v, half ? QM_F16 : QM_F32,
            text[0] == 'x' ? "x_proj_out"
            : is_c         ? "x_proj_out c_scale"
                           : "x_proj_out b_scale",
            text);
}

static void scan_b(const view *v) { scan_vector(v, false); }
static void scan_c(const view *v) { scan_vector(v, true); }

static void dt_proj_out(const view *v)
{
    if (!v->quantized)
        rounded(v, "x_proj_out dt_proj_weight", "dot(dt_proj_weight[d], x_proj_out[0 .. dt_rank])");
    else if (v->k->lin == QM_LIN_INT8)
        codes(v, v->l->scales.dt, "dt_proj_acc dt_proj_a dt_proj_b",
              "sat8(RE(dt_proj_b * (dt_proj_a * dt_proj_acc)))");
    else if (v->k->bc == QM_BC_I8LATE)
        codes(v, v->l->scales.dt, "x_proj_out dt_proj_weight dt_proj_b dt_scale",
              "sat8(RE(p / dt_scale)), p = dot(dt_proj_b * dt_proj_weight[d], x_proj_out[0 .. "
              "dt_rank])");
    else if (v->k->bc == QM_BC_VQ)
        numbers(v, QM_F32, "x_proj_out dt_proj_weight dt_proj_b dt_scale",
                "dt_scale * sat8(RE(p / dt_scale)), p = dot(dt_proj_b * dt_proj_weight[d], "
                "x_proj_out[0 .. dt_rank])");
    else
        numbers(v, QM_F32, "x_proj_out dt_proj_weight dt_proj_b",
                "dot(dt_proj_b * dt_proj_weight[d], x_proj_out[0 .. dt_rank])");
}

static bool dt_is_codes(const view *v)
{
    return v->quantized && (v->k->bc == QM_BC_I8 || v->k->bc == QM_BC_I8LATE);
}

static void delta(const view *v)
{
    const bool is_codes = dt_is_codes(v);
    const char *sum = is_codes ? "(dt_scale * dt_proj_out) + dt_bias" : "dt_proj_out + dt_bias";
    const char *plain = sum;
    if (is_codes && v->k->scan == QM_SCAN_FUSED) sum = "fma(dt_scale, dt_proj_out, dt_bias)";
    const char *text = "x where x > 20, else %s; x = %s";
    v->f->dtype = QM_F32;
    v->f->inputs = is_codes ? "dt_proj_out dt_scale dt_bias" : "dt_proj_out dt_bias";
    snprintf(v->f->formula, sizeof v->f->formula, text, "log1p(exp(x))", sum);
    if (v->step8 || (!v->quantized && !v->dp->step_log1p))
        snprintf(v->f->in_steps, sizeof v->f->in_steps, text, "log(exp(x) + 1)", plain);
}

static void scan_in(const view *v)
{
    char text[100];
    if (!v->quantized) {
        absent(v, "the scan reads conv_out");
    } else if (v->k->u == QM_U_VAL) {
        numbers(v, QM_F32, "conv_out", "conv_out");
    } else if (v->k->u == QM_U_REQ) {
        snprintf(text, sizeof text, "u_scale * sat8(%s(conv_out / u_scale))", ties(v));
        numbers(v, QM_F32, "conv_out u_scale", text);
    } else if (v->k->u == QM_U_DEQ_REQ) {
        snprintf(text, sizeof text, "u_scale * sat8(%s((u_scale * conv_out) / u_scale))", ties(v));
        numbers(v, QM_F32, "conv_out u_scale", text);
    } else {
        numbers(v, QM_F32, v->k->grid == QM_GRID_I8 ? "conv_out u_scale" : "conv_out",
                v->k->grid == QM_GRID_I8 ? "u_scale * conv_out" : "conv_out");
    }
}

static qm_scan scan_kind(const view *v) { return v->quantized ? v->k->scan : QM_SCAN_FUSED; }

static void decay(const view *v)
{
    const bool mamba = scan_kind(v) == QM_SCAN_MAMBA;
    numbers(v, QM_F32, "delta a",
            mamba ? "exp2(delta[d] * (a[n][d] * 0x1.715476p+0))" : "exp(delta[d] * a[n][d])");
    if (mamba && v->step8) in_steps(v, "exp(delta[d] * a[n][d])");
}

/* How the state is rounded, "%s" standing for it; NULL: not at all. */
static const char *state_rounding(const view *v, bool handed_over)
{
    if (!v->quantized) return v->dp->step_state == QM_FORMAT_F16 ? "half(%s)" : NULL;
    switch (v->k->state) {
    case QM_STATE_F32:
        return NULL;
    case QM_STATE_F16:
        return "half(%s)";
    case QM_STATE_I8END:
        if (handed_over) return "state_scale * sat8(RA(%s / state_scale))";
        break;
    case QM_STATE_I8STEP_AWAY:
        return "state_scale * sat8(RA(%s / state_scale))";
    case QM_STATE_I8STEP:
        break;
    }
    return "state_scale * sat8(RE((%s * 100) / (state_scale * 100)))";
}

static const char *state_inputs(const view *v, const char *with, const char *without)
{
    const qm_state kind = v->k->state;
    return v->quantized && kind != QM_STATE_F32 && kind != QM_STATE_F16 ? with : without;
}

static void state_in(const view *v)
{
    const char *rounding = state_rounding(v, true);
    numbers(v, QM_F32, state_inputs(v, "state_kept state_scale", "state_kept"),
            "state_kept of the token before, 0 before the first");
    if (rounding == NULL) return;
    char at[300];
    snprintf(at, sizeof at, "state_kept of the token before; of the prefill's last token %s",
             rounding);
    snprintf(v->f->in_steps, sizeof v->f->in_steps, at, "state_kept");
}

static const char *update(qm_scan scan, bool dash_u)
{
    switch (scan) {
    case QM_SCAN_REF:
        return dash_u ? "(decay * state_in) + (delta[d] * scan_b[n]) * scan_in[d]" : "";
    case QM_SCAN_SE:
        return "(decay * state_in) + scan_b[n] * (delta[d] * scan_in[d])";
    case QM_SCAN_FUSED:
        if (!dash_u) return "fma(decay, state_in, scan_b[n] * (delta[d] * conv_out[d]))";
        break;
    case QM_SCAN_MAMBA:
        break;
    }
    return "fma(decay, state_in, scan_b[n] * (delta[d] * scan_in[d]))";
}

static void state(const view *v)
{
    const char *inputs = v->quantized ? "decay state_in delta scan_b scan_in"
                                      : "decay state_in delta scan_b conv_out";
    numbers(v, QM_F32, inputs, update(scan_kind(v), v->quantized));
    if (v->step8 && scan_kind(v) != QM_SCAN_REF) in_steps(v, update(QM_SCAN_REF, true));
}

static void state_kept(const view *v)
{
    const char *rounding = state_rounding(v, false);
    numbers(v, QM_F32, state_inputs(v, "state state_scale", "state"), "state");
    if (rounding != NULL) snprintf(v->f->in_steps, sizeof v->f->in_steps, rounding, "state");
}

static void scan_sum(const view *v)
{
    static const char first[] = "starts at d[d] * %s[d], then for n = 0 .. d_state-1 "
                                "fma(state[n][d], scan_c[n], sum)";
    static const char se[] =
        "starts at 0, for n = 0 .. d_state-1 fma(state[n][d], scan_c[n], sum), "
        "then + d[d] * scan_in[d]";
    static const char ref[] = "starts at 0, for n = 0 .. d_state-1 sum + state[n][d] * scan_c[n], "
                              "then + d[d] * scan_in[d]";
    const qm_scan kind = scan_kind(v);
    char text[200];
    snprintf(text, sizeof text, first, v->quantized ? "scan_in" : "conv_out");
    numbers(v, QM_F32, v->quantized ? "state scan_c scan_in d" : "state scan_c conv_out d",
            kind == QM_SCAN_REF  ? ref
            : kind == QM_SCAN_SE ? se
                                 : text);
    if (v->step8 && kind != QM_SCAN_REF) in_steps(v, ref);
}

static void gate(const view *v)
{
    if (!v->quantized)
        rounded(v, "in_proj_z", "");
    else if (v->k->z == QM_Z_I8)
        numbers(v, QM_F32, "in_proj_z z_scale", "z_scale * in_proj_z");
    else
        numbers(v, QM_F32, "in_proj_z", "in_proj_z");
    if (!v->quantized) snprintf(v->f->formula, sizeof v->f->formula, "in_proj_z");
}

static void scan_out(const view *v)
{
    const qm_scan kind = scan_kind(v);
    const bool half = v->quantized ? v->k->y == QM_Y_F16 : v->dp->activation == QM_FORMAT_F16;
    const char *round = half ? "half(%s)" : "%s";
    numbers(v, half ? QM_F16 : QM_F32, "scan_sum gate", "");
    snprintf(v->f->formula, sizeof v->f->formula, round,
             kind == QM_SCAN_FUSED ? "(scan_sum * gate) / (1 + exp(-gate))"
                                   : "scan_sum * (gate / (1 + exp(-gate)))");
    if (v->step8)
        snprintf(v->f->in_steps, sizeof v->f->in_steps, round,
                 "scan_sum * (gate * (1 / (1 + exp(-gate))))");
}

static void hadamard(const view *v, bool pre)
{
    if (!v->quantized)
        absent(v, "y is not rotated: out_proj reads scan_out");
    else if (pre)
        numbers(v, QM_F32, "scan_out hadamard_factor",
                "hadamard(scan_out) * hadamard_factor (docs/trace.md)");
    else
        codes(v, v->l->scales.o, "hadamard_pre out_scale", "sat8(RA(hadamard_pre))");
}

static void hadamard_pre(const view *v) { hadamard(v, true); }
static void hadamard_out(const view *v) { hadamard(v, false); }

static void out_proj_out(const view *v)
{
    if (v->quantized)
        numbers(v, QM_F16, "out_proj_acc out_proj_a out_proj_b",
                "half(out_proj_a * (out_proj_b * out_proj_acc))");
    else
        rounded(v, "scan_out out_proj_weight", "dot(out_proj_weight[j], scan_out)");
}

static void residual(const view *v)
{
    numbers(v, QM_F32, "residual_in out_proj_out", "residual_in + out_proj_out");
}

static void norm_f_out(const view *v)
{
    static const char text[] =
        "(residual * r) * norm_f_weight, r = 1 / sqrt(dot(residual, residual)"
        " / d_model + norm_eps), residual of the last layer";
    char at[400];
    if (v->m->head.dtype == QM_I8) {
        snprintf(at, sizeof at, "sat8(RE(n / norm_f_scale)), n = %s%s", text,
                 v->m->norm_f_kind == QM_NORM_F_DEQUANT ? ", rounded to 127 steps of its max abs"
                                                        : "");
        codes(v, qm_trace_norm_f_scale(v->m), "norm_f_weight norm_eps norm_f_scale", at);
        return;
    }
    const bool half = v->dp->activation == QM_FORMAT_F16;
    snprintf(at, sizeof at, "%sn%s, n = %s%s", half ? "half(" : "", half ? ")" : "", text,
             v->m->norm_f_kind == QM_NORM_F_DEQUANT ? ", rounded to 127 steps of its max abs" : "");
    numbers(v, half ? QM_F16 : QM_F32, "norm_f_weight norm_eps", at);
}

static void logits(const view *v)
{
    const char *bias = v->m->head_bias != NULL ? " + head_bias" : "";
    const bool half = v->dp->activation == QM_FORMAT_F16, is_codes = v->m->head.dtype == QM_I8;
    char at[200];
    snprintf(at, sizeof at, "%s%s%s%s",
             is_codes
                 ? "half(head_a * (head_b * sum)), sum = exact sum of head_weight[j] * norm_f_out"
             : half ? "half(dot(head_weight[j], norm_f_out))"
                    : "dot(head_weight[j], norm_f_out)",
             bias, bias[0] != '\0' && half ? ", rounded to half" : "", "");
    numbers(v, half || (is_codes && bias[0] == '\0') ? QM_F16 : QM_F32,
            bias[0] != '\0' && is_codes ? "norm_f_out head_weight head_a head_b head_bias"
            : is_codes                  ? "norm_f_out head_weight head_a head_b"
            : bias[0] != '\0'           ? "norm_f_out head_weight head_bias"
                                        : "norm_f_out head_weight",
            at);
}

static void (*const describe[QM_N_TRACE_EDGES])(const view *v) = {
    [QM_AT_RESIDUAL_IN] = residual_in,
    [QM_AT_NORM_OUT] = norm_out,
    [QM_AT_IN_PROJ_ACC] = in_proj_acc,
    [QM_AT_IN_PROJ_X] = in_proj_x,
    [QM_AT_IN_PROJ_Z] = in_proj_z,
    [QM_AT_CONV_IN_SCALE] = conv_in_scale,
    [QM_AT_CONV_IN] = conv_in,
    [QM_AT_CONV_ACC] = conv_acc,
    [QM_AT_CONV_PRE] = conv_pre,
    [QM_AT_CONV_SILU] = conv_silu,
    [QM_AT_GRID_SCALE] = grid_scale,
    [QM_AT_CONV_OUT] = conv_out,
    [QM_AT_X_PROJ_IN] = x_proj_in,
    [QM_AT_X_PROJ_ACC] = x_proj_acc,
    [QM_AT_X_PROJ_OUT] = x_proj_out,
    [QM_AT_SCAN_B] = scan_b,
    [QM_AT_SCAN_C] = scan_c,
    [QM_AT_DT_PROJ_ACC] = dt_proj_acc,
    [QM_AT_DT_PROJ_OUT] = dt_proj_out,
    [QM_AT_DELTA] = delta,
    [QM_AT_SCAN_IN] = scan_in,
    [QM_AT_DECAY] = decay,
    [QM_AT_STATE_IN] = state_in,
    [QM_AT_STATE] = state,
    [QM_AT_STATE_KEPT] = state_kept,
    [QM_AT_SCAN_SUM] = scan_sum,
    [QM_AT_GATE] = gate,
    [QM_AT_SCAN_OUT] = scan_out,
    [QM_AT_HADAMARD_PRE] = hadamard_pre,
    [QM_AT_HADAMARD_OUT] = hadamard_out,
    [QM_AT_OUT_PROJ_ACC] = out_proj_acc,
    [QM_AT_OUT_PROJ_OUT] = out_proj_out,
    [QM_AT_RESIDUAL] = residual,
    [QM_AT_NORM_F_OUT] = norm_f_out,
    [QM_AT_LOGITS] = logits,
};

void qm_trace_describe(qm_trace_facts *facts, const qm_trace_setting *setting, int32_t layer,
                       qm_trace_edge edge)
{
    const quamba_model *m = setting->model;
    const quamba_datapath *dp = m->datapath;
    *facts = (qm_trace_facts){.inputs = ""};
    describe[edge](&(view){.m = m,
                           .dp = dp,
                           .k = &dp->knobs,
                           .layer = layer,
                           .l = layer < m->config.n_layer ? &m->layers[layer] : NULL,
                           .setting = setting,
                           .quantized = dp->quantized,
                           .step8 = dp->quantized && dp->knobs.state != QM_STATE_F16 &&
                                    dp->knobs.state != QM_STATE_F32,
                           .f = facts});
    if (!setting->steps) facts->in_steps[0] = '\0';
}
