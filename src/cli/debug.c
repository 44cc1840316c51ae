#include "cli/debug.h"

#include "base/hash.h"
#include "base/mem.h"
#include "cli/debug_grid.h"
#include "cli/frame.h"
#include "datapath/datapath.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { N_FIRST = 5 };

/* The first values of one channel, of consecutive tokens. */
typedef struct first {
    float values[N_FIRST];
    int32_t n;
    bool codes;
    uint64_t hash; /* of all values, of all channels */
    bool seen;
} first;

/* One class of the scale check. */
typedef struct findings {
    uint64_t n_calls;
    bool *in_layer; /* [n_layer], owned */
} findings;

struct qc_debug {
    const quamba_model *model;
    int32_t layer; /* that is shown; -1: none */
    bool quick_verify, check, check_stops;
    first conv, u, dt, b, c, y;
    float input_scale;
    bool input_seen, shown;
    bool checked_first;
    uint64_t n_checked;
    findings errors, warnings;
    bool stops, failed;
    qc_grid_debug *grid; /* owned; NULL where the row has no grid to show */
};

/* ---- values ---------------------------------------------------------------------------------- */

static float value_at(const quamba_view *v, int32_t row, int32_t col)
{
    const size_t at = (size_t)row * v->row_stride + (size_t)col;
    return v->codes != NULL ? (float)v->codes[at] : v->data[at];
}

/* Columns [begin, begin + n). */
static first keep(const quamba_view *v, int32_t begin, int32_t n)
{
    first f = {.codes = v->codes != NULL, .seen = true};
    f.n = v->n_rows < N_FIRST ? v->n_rows : N_FIRST;
    for (int32_t r = 0; r < f.n; r++)
        f.values[r] = value_at(v, r, begin);
    for (int32_t r = 0; r < v->n_rows; r++) {
        const size_t at = (size_t)r * v->row_stride + (size_t)begin;
        f.hash = v->codes != NULL ? qm_hash64(v->codes + at, (size_t)n, f.hash)
                                  : qm_hash64(v->data + at, (size_t)n * sizeof *v->data, f.hash);
    }
    return f;
}

static void print_first(const char *name, const first *f)
{
    fprintf(stderr, "  %s first 5 values [0,0,:5]: [", name);
    for (int32_t i = 0; i < f->n; i++)
        fprintf(stderr, f->codes ? "%s%.0f" : "%s%.6f", i > 0 ? ", " : "", (double)f->values[i]);
    fprintf(stderr, "]\n");
}

static void find_range(const quamba_view *v, float *low, float *high)
{
    *low = *high = value_at(v, 0, 0);
    for (int32_t r = 0; r < v->n_rows; r++)
        for (int32_t c = 0; c < v->n_cols; c++) {
            *low = fminf(*low, value_at(v, r, c));
            *high = fmaxf(*high, value_at(v, r, c));
        }
}

static void print_range(float low, float high, bool codes)
{
    const double absmax = (double)fmaxf(fabsf(low), fabsf(high));
    fprintf(stderr,
            codes ? "  range [min, max]: [%.0f, %.0f]\n  absmax: %.0f\n"
                  : "  range [min, max]: [%.6f, %.6f]\n  absmax: %.6f\n",
            (double)low, (double)high, absmax);
}

void qc_debug_rule(void)
{
    char line[82];
    memset(line, '=', 80);
    line[80] = '\n';
    line[81] = '\0';
    fputs(line, stderr);
}

void qc_debug_title(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    qc_progress_hide();
    qc_debug_rule();
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    qc_debug_rule();
    va_end(args);
}

/* ---- what the row does, in words ------------------------------------------------------------- */

static const char *output_purpose(const qm_knobs *k)
{
    if (k->grid == QM_GRID_I8)
        return k->u == QM_U_CODES ? "scale of the codes" : "for dequantization in the mixer";
    if (k->u == QM_U_REQ) return "for requantization by the scan";
    return k->xp == QM_XP_VAL ? "step of the grid" : "for requantization for x_proj";
}

static const char *mixer_step(const qm_knobs *k)
{
    static const char *const steps[] = {
        [QM_U_CODES] = "hands the codes to the scan",
        [QM_U_DEQ] = "dequantizes u: FP32 on the INT8 grid",
        [QM_U_DEQ_REQ] = "dequantizes u; the scan quantizes it again",
        [QM_U_REQ] = "hands FP32 to the scan, which quantizes it",
        [QM_U_VAL] = "hands FP32 to the scan",
    };
    return steps[k->u];
}

static const char *x_proj_step(const qm_knobs *k)
{
    static const char *const steps[] = {
        [QM_XP_CODES] = "INT8, the codes themselves",
        [QM_XP_REQ] = "INT8, the output quantized at output_scale",
        [QM_XP_REQ_GRID] = "INT8, the number on the grid quantized at output_scale",
        [QM_XP_VAL] = "FP32",
    };
    return steps[k->xp];
}

static bool u_is_codes(const qm_knobs *k)
{
    return k->u == QM_U_CODES || k->u == QM_U_DEQ_REQ || k->u == QM_U_REQ;
}

static const char *scan_name(const qm_knobs *k)
{
    const bool codes = u_is_codes(k);
    switch (k->scan) {
    case QM_SCAN_FUSED:
        return codes ? "fused8" : "fused32";
    case QM_SCAN_REF:
        return codes ? "ref8" : "ref32";
    case QM_SCAN_SE:
        return "se32";
    case QM_SCAN_MAMBA:
        break;
    }
    return "mamba";
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static const qm_knobs *knobs_of(const qc_debug *d) { return &d->model->datapath->knobs; }

static void print_conv(const qc_debug *d, const quamba_view *v)
{
    const qm_knobs *k = knobs_of(d);
    const qm_scales *s = &d->model->layers[d->layer].scales;
    float low, high;
    find_range(v, &low, &high);
    qc_debug_title("[Layer %d / Counter %d] Conv1D Output (Mode %s)", d->layer + 1, d->layer,
                   d->model->datapath->id);
    fprintf(stderr, "Location: src/runtime/conv_w8a8.c, %s, tokens %" PRIu64 " to %" PRIu64 "\n",
            v->codes != NULL ? "output quantized to INT8" : "output kept in FP32", v->position,
            v->position + (uint64_t)v->n_rows - 1);
    fprintf(stderr, "Conv1D Kernel: %s\n",
            k->conv == QM_CONV_INT ? "conv.int: INT8 x INT8, exact sum, SiLU in FP32"
                                   : "conv.deq: dequantized first, FP32 sum, SiLU in FP32");
    fprintf(stderr, "Output:\n  dtype: %s\n  shape: (1, %d, %d)\n",
            v->codes != NULL ? "int8" : "float32", v->n_cols, v->n_rows);
    print_range(low, high, v->codes != NULL);
    print_first("conv", &d->conv);
    fprintf(stderr, "Scales:\n  input_scale: %.10f (of the convolution's input codes%s)\n",
            (double)(d->input_seen ? d->input_scale : s->x),
            d->input_seen ? ", found at run time" : "");
    fprintf(stderr, "  output_scale: %.10f (%s)\n", (double)s->u, output_purpose(k));
    fprintf(stderr, "Next Step:\n  mixer: %s\n  x_proj: %s\n  scan: %s, u in %s\n", mixer_step(k),
            x_proj_step(k), scan_name(k), u_is_codes(k) ? "INT8" : "FP32");
    qc_debug_rule();
}

/* A scale as the checkpoint has it; NaN where it has none. */
static float stored_scale(const qc_debug *d, const char *name)
{
    char full[128];
    float value = NAN;
    snprintf(full, sizeof full, "backbone.layers.%d.mixer.%s", d->layer, name);
    const qm_tensor *t = d->model->source ? qm_source_find(d->model->source, full) : NULL;
    if (t != NULL && t->dtype == QM_F32 && t->data != NULL) memcpy(&value, t->data, sizeof value);
    return value;
}

static void print_scale(const char *name, float value, const char *note)
{
    if (isnan(value))
        fprintf(stderr, "  %s: missing (%s)\n", name, note);
    else
        fprintf(stderr, "  %s: %.10f (%s)\n", name, (double)value, note);
}

static void print_scan(const qc_debug *d)
{
    const qm_knobs *k = knobs_of(d);
    const qm_scales *s = &d->model->layers[d->layer].scales;
    const float conv = stored_scale(d, "conv1d.output_scale");
    const bool codes = k->bc == QM_BC_I8 || k->bc == QM_BC_I8LATE;
    qc_debug_title("[Layer %d / layer_idx %d] SSM Scales", d->layer + 1, d->layer);
    fprintf(stderr, "Location: src/runtime/mixer_w8a8.c, %s\n", scan_name(k));
    fprintf(stderr, "u dtype: %s\ndt/B/C dtype: %s\n", u_is_codes(k) ? "int8" : "float32",
            codes ? "int8" : "float32");
    print_first("u", &d->u);
    print_first("dt", &d->dt);
    print_first("B", &d->b);
    print_first("C", &d->c);
    fprintf(stderr, "Scales:\n");
    print_scale("u_scale", s->u, u_is_codes(k) ? "of u's codes" : "of x_proj's input");
    print_scale("dt_scale", s->dt, "dt_proj output");
    print_scale("B_scale", s->b, "x_proj output");
    print_scale("C_scale", s->c, "x_proj output");
    print_scale("A_scale", stored_scale(d, "selective_scan.A_scale"), "weight A_log");
    print_scale("D_scale", stored_scale(d, "selective_scan.D_scale"), "weight D");
    print_scale("z_scale", s->z, "gate");
    print_scale("ssm_state_scale", s->h, "state between decode steps");
    print_scale("dt_bias_scale", stored_scale(d, "selective_scan.dt_bias_scale"), "weight dt bias");
    fprintf(stderr, "conv output_scale must equal u_scale: %.10f, equal: %s\n",
            (double)(isnan(conv) ? s->u : conv), isnan(conv) || conv == s->u ? "yes" : "no");
    qc_debug_rule();
}

static void print_hashes(const qc_debug *d)
{
    const struct {
        const char *name;
        const first *what;
    } tensors[] = {
        {"conv_out", &d->conv},
        {"u",        &d->u   },
        {"dt",       &d->dt  },
        {"B",        &d->b   },
        {"C",        &d->c   },
        {"y",        &d->y   },
    };
    for (size_t i = 0; i < QM_COUNT(tensors); i++)
        fprintf(stderr, "quick verify: layer %d %s %016" PRIx64 "\n", d->layer, tensors[i].name,
                tensors[i].what->hash);
}

/* ---- the check of the output scale ----------------------------------------------------------- */

static void note_finding(findings *f, const quamba_view *v, const char *class, float minmax,
                         float used)
{
    f->n_calls++;
    if (f->in_layer[v->layer]) return;
    f->in_layer[v->layer] = true;
    qc_warn("scale check: layer %d: %s: min-max scale %.10f, output_scale %.10f, ratio %.4f",
            v->layer, class, (double)minmax, (double)used, (double)(minmax / used));
}

static void print_first_check(const quamba_view *v, const qm_scales *s, float low, float high,
                              float minmax)
{
    bool used[256] = {false};
    int n = 0, lowest = 127, highest = -128;
    for (int32_t r = 0; r < v->n_rows; r++)
        for (int32_t c = 0; c < v->n_cols; c++) {
            const float q = roundf(value_at(v, r, c) / s->u);
            const int code = (int)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
            if (!used[code + 128]) n++;
            used[code + 128] = true;
            if (code < lowest) lowest = code;
            if (code > highest) highest = code;
        }
    qc_debug_title("[Layer 1 / layer_idx 0] Scale check of the FP32 convolution output");
    print_range(low, high, false);
    fprintf(stderr, "  input_scale: %.10f\n  output_scale: %.10f\n", (double)s->x, (double)s->u);
    fprintf(stderr, "  min-max scale: %.10f\n  scale used: %.10f\n  ratio: %.4f\n", (double)minmax,
            (double)s->u, (double)(minmax / s->u));
    fprintf(stderr, "  code range: [%d, %d]\n  distinct codes: %d of 256\n", lowest, highest, n);
    qc_debug_rule();
}

static void check_scale(qc_debug *d, const quamba_view *v)
{
    const qm_scales *s = &d->model->layers[v->layer].scales;
    float low, high;
    find_range(v, &low, &high);
    const float minmax = fmaxf(fabsf(low), fabsf(high)) / 127.0f, ratio = minmax / s->u;
    d->n_checked++;
    if (!d->checked_first && v->layer == 0) {
        d->checked_first = true;
        print_first_check(v, s, low, high, minmax);
    }
    if (ratio > 2.0f || ratio < 0.5f) {
        note_finding(&d->errors, v, "error", minmax, s->u);
        if (d->check_stops) d->failed = d->stops = true;
    } else if (ratio > 1.5f || ratio < 0.67f) {
        note_finding(&d->warnings, v, "warning", minmax, s->u);
    }
}

static int32_t count_layers(const qc_debug *d, const findings *f)
{
    int32_t n = 0;
    for (int32_t i = 0; i < d->model->config.n_layer; i++)
        n += f->in_layer[i];
    return n;
}

/* ---- the tap --------------------------------------------------------------------------------- */

static bool is_edge(const quamba_view *v, const char *name) { return strcmp(v->edge, name) == 0; }

/* The first forward through the layer that is shown. */
static void watch_layer(qc_debug *d, const quamba_view *v)
{
    const qm_config *c = &d->model->config;
    const qm_knobs *k = knobs_of(d);
    if (is_edge(v, "conv_in") && !d->input_seen) {
        d->input_scale = v->scale;
        d->input_seen = true;
    } else if (is_edge(v, "conv_out") && !d->conv.seen) {
        d->conv = keep(v, 0, v->n_cols);
        print_conv(d, v);
    } else if (is_edge(v, "scan_in") && !d->u.seen) {
        d->u = keep(v, 0, v->n_cols);
    } else if (is_edge(v, "x_proj_out") && !d->b.seen) {
        d->b = keep(v, c->dt_rank, c->d_state);
        d->c = keep(v, c->dt_rank + c->d_state, c->d_state);
    } else if (is_edge(v, "dt_proj_out") && !d->dt.seen) {
        d->dt = keep(v, 0, v->n_cols);
    } else if (is_edge(v, "scan_out") && !d->y.seen) {
        d->y = keep(v, 0, v->n_cols);
        d->shown = true;
        if (k->u != QM_U_CODES || k->scan != QM_SCAN_FUSED) print_scan(d);
        if (d->quick_verify) print_hashes(d);
        d->stops |= d->quick_verify;
    }
}

static void on_view(void *user, const quamba_view *v)
{
    qc_debug *d = user;
    if (d->stops) return;
    if (d->check && is_edge(v, "conv_out") && v->data != NULL) check_scale(d, v);
    if (d->grid != NULL) qc_grid_debug_view(d->grid, v);
    if (v->layer == d->layer && !d->shown) watch_layer(d, v);
}

/* ---- from outside ---------------------------------------------------------------------------- */

void qc_debug_watch(qc_debug *debug, quamba_session_options *options)
{
    if (debug == NULL) return;
    options->tap = on_view;
    options->tap_user = debug;
}

bool qc_debug_stops(const qc_debug *debug) { return debug != NULL && debug->stops; }

static void free_debug(qc_debug **debug)
{
    qc_grid_debug_free(&(*debug)->grid);
    free((*debug)->errors.in_layer);
    free((*debug)->warnings.in_layer);
    free(*debug);
    *debug = NULL;
}

/* Numbers on a grid, from codes at a calibrated scale. */
static bool has_grid(const qm_knobs *k)
{
    return k->grid != QM_GRID_I8 && k->grid != QM_GRID_F32 && k->ip == QM_IP_I8 &&
           k->cin == QM_CIN_STATIC;
}

int qc_debug_new(qc_debug **debug, const qc_options *opt, const quamba_model *model, bool always)
{
    const int32_t n_layer = model->config.n_layer;
    const bool shows = always || opt->quick_verify || qc_given(opt, "debug-layer");
    const bool checks = (always || qc_given(opt, "scale-check")) && strcmp(opt->scale_check, "off");
    *debug = NULL;
    if (qc_given(opt, "debug-layer") && opt->debug_layer >= n_layer)
        return qc_fail(QC_USAGE, "--debug-layer %" PRId64 ": the model has layers 0 to %d",
                       opt->debug_layer, n_layer - 1);
    if (!shows && !checks) return QC_OK;
    if (!model->datapath->quantized) {
        if (!always || opt->quick_verify)
            qc_warn("mode %s has no codes and no scales to show", model->datapath->id);
        return QC_OK;
    }
    qc_debug *d = qm_alloc(1, sizeof *d);
    if (d == NULL) return qc_fail_memory();
    d->model = model;
    d->layer = !shows ? -1 : opt->debug_layer >= 0 ? (int32_t)opt->debug_layer : n_layer - 1;
    if (shows && opt->debug_layer < 0 && n_layer > 24) d->layer = 23;
    d->quick_verify = opt->quick_verify;
    d->check = checks && model->datapath->knobs.grid == QM_GRID_F32;
    d->check_stops = strcmp(opt->scale_check, "error") == 0;
    d->errors.in_layer = qm_alloc((size_t)n_layer, sizeof(bool));
    d->warnings.in_layer = qm_alloc((size_t)n_layer, sizeof(bool));
    *debug = d;
    const bool on_grid = shows && has_grid(&model->datapath->knobs);
    if (on_grid) d->grid = qc_grid_debug_new(model);
    if (on_grid && d->grid == NULL) {
        free_debug(debug);
        return qc_fail_memory();
    }
    if (d->errors.in_layer != NULL && d->warnings.in_layer != NULL) return QC_OK;
    free_debug(debug);
    return qc_fail_memory();
}

int qc_debug_finish(qc_debug **debug, int status)
{
    qc_debug *d = *debug;
    if (d == NULL) return status;
    if (d->n_checked > 0) {
        qc_progress_hide();
        fprintf(stderr,
                "quamba: scale check: %" PRIu64 " calls; beyond 2.0 or below 0.5: %" PRIu64
                " in %d layers; beyond 1.5 or below 0.67: %" PRIu64 " in %d layers\n",
                d->n_checked, d->errors.n_calls, count_layers(d, &d->errors), d->warnings.n_calls,
                count_layers(d, &d->warnings));
        if (d->errors.n_calls > 0)
            fputs("quamba: scale check: a large ratio means that the percentile clips, or that the "
                  "calibration saw smaller values (calibrate on texts like these, or raise "
                  "--percentile-alpha); a small one, a quiet text\n",
                  stderr);
    }
    if (d->failed)
        status = qc_fail(QC_FAILED, "stopped by --scale-check error");
    else if (d->stops)
        status = QC_OK;
    else if (d->quick_verify && status == QC_OK)
        status = qc_fail(QC_FAILED, "--quick-verify: layer %d was never reached", d->layer);
    free_debug(debug);
    return status;
}
