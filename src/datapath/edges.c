/* What a row means at every edge, in words: generated from its knobs, never written down. */
#include "datapath/knobs.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- pieces ----------------------------------------------------------------------------------
 */

typedef struct grid_facts {
    const char *format;
    int32_t values, bits; /* values 0: not bounded */
} grid_facts;

static const grid_facts grids[] = {
    [QM_GRID_I8] = {"i8[s_u]",                                                           256, 8 },
    [QM_GRID_F32] = {"f32",                                                               0,   32},
    [QM_GRID_VQ] = {"g8[s_u]",                                                           256, 8 },
    [QM_GRID_SEL] = {"g8[s_u], f32 where abs(code) > 127",                                0,   32},
    [QM_GRID_DUAL] = {"g8[s_u], g8[max abs / 127] where abs(code) > 127",                  512, 9 },
    [QM_GRID_HALF] = {"f32 on steps of s_u/2 below 64 s_u, of s_u above",                  384, 9 },
    [QM_GRID_QUARTER] = {"f32 on steps of s_u/4 below 32 s_u, of s_u above",                  446, 9 },
    [QM_GRID_QLOG2] = {"f32 on steps of s_u/4 to 8 s_u, powers of two above",               0,   8 },
    [QM_GRID_SEG3] = {"f32 on steps of s_u/4, s_u (from 15.75 s_u), 4 s_u (from 143 s_u)", 509, 9 },
    [QM_GRID_CDUAL] = {"g8[s_u], g8[s_u unclipped] where abs(code) > 127",                  512, 9 },
};

/* The scan gets u as codes: it multiplies integers, or numbers that were just formed from them. */
static bool u_is_int8(const qm_knobs *k)
{
    return k->u == QM_U_CODES || k->u == QM_U_DEQ_REQ || k->u == QM_U_REQ;
}

static const char *scan_kernel(const qm_knobs *k)
{
    switch (k->scan) {
    case QM_SCAN_FUSED:
        return u_is_int8(k) ? "fused8" : "fused32";
    case QM_SCAN_REF:
        return u_is_int8(k) ? "ref8" : "ref32";
    case QM_SCAN_SE:
        return "se32";
    case QM_SCAN_MAMBA:
        break;
    }
    return "mamba32";
}

static const char *even(const qm_knobs *k) { return k->rnd == QM_RND_EVEN ? ", RE" : ""; }

/* The convolution's output after the grid. */
static void print_grid(const qm_knobs *k, char *out, size_t size)
{
    snprintf(out, size, "%s%s", grids[k->grid].format, k->grid == QM_GRID_F32 ? "" : even(k));
}

/* ---- edges, in the order of the path ----------------------------------------------------------
 */

typedef void print_edge(const qm_knobs *k, char *out, size_t size);

static void in_proj_x(const qm_knobs *k, char *out, size_t size)
{
    static const char *const formats[] = {"i8[s_x]", "f16", "f32"};
    snprintf(out, size, "%s", formats[k->ip]);
}

static void conv_input(const qm_knobs *k, char *out, size_t size)
{
    static const char *const formats[] = {
        "i8[s_x] static", "i8[s_dyn], s_dyn = max abs / 127, found at run time",
        "i8[s_dyn], s_dyn = max abs / 127 of the token, found at run time"};
    snprintf(out, size, "%s", formats[k->cin]);
}

static void conv_weight(const qm_knobs *k, char *out, size_t size)
{
    snprintf(out, size, "i8[s_w], i8[s_b]%s", k->conv == QM_CONV_DEQ ? ", dequantized" : "");
}

static void conv_accumulator(const qm_knobs *k, char *out, size_t size)
{
    const char *format = "exact integer, then one FP32 affine step";
    if (k->conv == QM_CONV_DEQ)
        format = "FP32 sum of FP32 products, then plus bias";
    else if (k->cin == QM_CIN_DYN_TOKEN)
        format = "as static where the taps share a scale, else one FP32 fma per tap";
    snprintf(out, size, "%s", format);
}

static void silu(const qm_knobs *k, char *out, size_t size)
{
    snprintf(out, size, "FP32%s", k->conv == QM_CONV_DEQ ? ", a * sigmoid(a)" : "");
}

static void x_proj_input(const qm_knobs *k, char *out, size_t size)
{
    const char *later = k->lin == QM_LIN_F32 ? ", dequantized" : "";
    char grid[88];
    switch (k->xp) {
    case QM_XP_CODES:
        snprintf(out, size, "the codes%s", later);
        return;
    case QM_XP_REQ:
        snprintf(out, size, "Q(f32, s_u)%s%s", even(k), later);
        return;
    case QM_XP_REQ_GRID:
        snprintf(out, size, "Q(conv output, s_u)%s%s", even(k), later);
        return;
    case QM_XP_VAL:
        print_grid(k, grid, sizeof grid);
        snprintf(out, size, "%s", grid);
        return;
    }
}

static void dt_b_c(const qm_knobs *k, char *out, size_t size)
{
    static const char *const formats[] = {"i8[s_xp]", "g8[s_xp]", "f32",
                                          "f32 into dt_proj, i8[s_xp] for the scan"};
    snprintf(out, size, "%s", formats[k->bc]);
}

static void dt(const qm_knobs *k, char *out, size_t size)
{
    static const char *const formats[] = {"i8[s_dt]", "g8[s_dt]", "f32", "i8[s_dt]"};
    snprintf(out, size, "%s", formats[k->bc]);
}

static void u_at_the_door(const qm_knobs *k, char *out, size_t size)
{
    if (k->u == QM_U_CODES)
        snprintf(out, size, "i8[s_u]");
    else if (k->u == QM_U_DEQ || k->u == QM_U_DEQ_REQ)
        snprintf(out, size, "g8[s_u]");
    else
        print_grid(k, out, size);
}

static void u_inside(const qm_knobs *k, char *out, size_t size)
{
    if (k->u == QM_U_DEQ_REQ || k->u == QM_U_REQ)
        snprintf(out, size, "requantized: i8[s_u]%s", even(k));
    else
        u_at_the_door(k, out, size);
}

static void kernel(const qm_knobs *k, char *out, size_t size)
{
    snprintf(out, size, "%s", scan_kernel(k));
}

static void state_in_prefill(const qm_knobs *k, char *out, size_t size)
{
    (void)k; /* in every row */
    snprintf(out, size, "FP32");
}

static void state_handed_over(const qm_knobs *k, char *out, size_t size)
{
    static const char *const formats[] = {"i8[s_h]", "i8[s_h], RE(100 h / 100 s_h)", "i8[s_h]",
                                          "f16", "f32"};
    snprintf(out, size, "%s", formats[k->state]);
}

static void gate(const qm_knobs *k, char *out, size_t size)
{
    snprintf(out, size, "%s, FP32 SiLU inside", k->z == QM_Z_I8 ? "i8[s_z]" : "f32");
}

static void scan_output(const qm_knobs *k, char *out, size_t size)
{
    const char *format = "f32, then one rounding to f16";
    if (k->y == QM_Y_F32)
        format = "f32";
    else if (k->scan == QM_SCAN_FUSED)
        format = "f16, rounded in the kernel";
    snprintf(out, size, "%s", format);
}

static void hadamard(const qm_knobs *k, char *out, size_t size)
{
    (void)k;
    snprintf(out, size, "FP32 butterflies, RA, i8[s_o]");
}

static void out_proj(const qm_knobs *k, char *out, size_t size)
{
    (void)k;
    snprintf(out, size, "i8 x i8 -> INT32 -> FP32 -> f16");
}

static const struct {
    const char *name;
    print_edge *print;
} edges[] = {
    {"in_proj x half",         in_proj_x        },
    {"conv input",             conv_input       },
    {"conv weight, bias",      conv_weight      },
    {"conv accumulator",       conv_accumulator },
    {"SiLU",                   silu             },
    {"conv output",            print_grid       },
    {"x_proj input",           x_proj_input     },
    {"dt_r, B, C",             dt_b_c           },
    {"dt",                     dt               },
    {"u at the scan door",     u_at_the_door    },
    {"u inside the scan",      u_inside         },
    {"scan kernel",            kernel           },
    {"state in prefill",       state_in_prefill },
    {"state handed to decode", state_handed_over},
    {"gate z",                 gate             },
    {"scan output",            scan_output      },
    {"Hadamard, quantize",     hadamard         },
    {"out_proj",               out_proj         },
};

bool quamba_datapath_edge(const quamba_datapath *datapath, size_t index, quamba_edge_format *format)
{
    if (!datapath->quantized || index >= QM_COUNT(edges)) return false;
    format->edge = edges[index].name;
    edges[index].print(&datapath->knobs, format->format, sizeof format->format);
    return true;
}

/* ---- the row as a whole ----------------------------------------------------------------------
 */

static const char *const states[] = {
    [QM_STATE_I8END] = "i8[s_h]: RA(h / s_h) at the hand-over, RE(100 h / 100 s_h) after each step",
    [QM_STATE_I8STEP] = "i8[s_h]: RE(100 h / 100 s_h) at the hand-over and after each step",
    [QM_STATE_I8STEP_AWAY] = "i8[s_h]: RA(h / s_h) at the hand-over and after each step",
    [QM_STATE_F16] = "f16: rounded at the hand-over and after each step",
    [QM_STATE_F32] = "f32: never rounded",
};

static quamba_datapath_info float_info(const quamba_datapath *dp)
{
    const bool half = dp->activation == QM_FORMAT_F16;
    return (quamba_datapath_info){.causal = true,
                                  .exact_step = !half,
                                  .grid_bits = half ? 16 : 32,
                                  .conv_kernel = half ? "f16" : "f32",
                                  .scan_kernel = half ? "f16" : "f32",
                                  .step_kernel = half ? "f16" : "f32",
                                  .state = dp->step_state == QM_FORMAT_F16 ? states[QM_STATE_F16]
                                                                           : states[QM_STATE_F32],
                                  .beside = ""};
}

quamba_datapath_info quamba_datapath_get_info(const quamba_datapath *datapath)
{
    const qm_knobs *k = &datapath->knobs;
    if (!datapath->quantized) return float_info(datapath);
    const bool causal = !qm_sees_whole_prompt(datapath), kept = k->state == QM_STATE_F32;
    return (quamba_datapath_info){
        .quantized = true,
        .removed = datapath->removed,
        .causal = causal,
        .exact_step = causal && kept,
        .needs_outlier_scales = k->grid == QM_GRID_CDUAL,
        .grid_values = grids[k->grid].values,
        .grid_bits = grids[k->grid].bits,
        .conv_kernel = k->conv == QM_CONV_INT ? "conv.int" : "conv.deq",
        .scan_kernel = scan_kernel(k),
        .step_kernel = kept || k->state == QM_STATE_F16 ? scan_kernel(k) : "decode8",
        .state = states[k->state],
        .beside = datapath->beside ? datapath->beside : "",
    };
}
