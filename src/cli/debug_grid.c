#include "cli/debug_grid.h"

#include "cli/debug.h"
#include "datapath/datapath.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_LAYERS = 4, N_EXAMPLES = 3 };

struct qc_grid_debug {
    const quamba_model *model;
    qm_kernels kernels;
    int32_t layers[N_LAYERS];
    bool shown[N_LAYERS];
    int8_t *codes; /* [n_rows][d_inner] that the convolution of the layer reads; or NULL */
    int32_t n_rows;
};

qc_grid_debug *qc_grid_debug_new(const quamba_model *model)
{
    const int32_t n_layer = model->config.n_layer, last = n_layer > 24 ? 23 : n_layer - 1;
    qc_grid_debug *d = qm_alloc(1, sizeof *d);
    if (d == NULL) return NULL;
    *d = (qc_grid_debug){
        .model = model, .kernels = qm_kernels_select(QM_CPU_SCALAR), .layers = {0, 1, 2, last}
    };
    for (int i = 0; i < N_LAYERS - 1; i++)
        d->shown[i] = d->layers[i] >= last; /* then it is the last one */
    return d;
}

void qc_grid_debug_free(qc_grid_debug **debug)
{
    if (*debug != NULL) free((*debug)->codes);
    free(*debug);
    *debug = NULL;
}

/* SiLU of the convolution of row r, [d_inner], as the runtime computes it; scratch for 2 d_conv
 * rows. */
static void convolve(const qc_grid_debug *d, const qm_layer *l, int32_t r, float *v, float *scratch)
{
    const size_t e = (size_t)d->model->config.d_inner, width = (size_t)d->model->config.d_conv;
    const int8_t *taps[QM_MAX_CONV], *zeros = d->codes + (size_t)d->n_rows * e;
    for (size_t k = 0; k < width; k++) {
        const int64_t row = (int64_t)r + (int64_t)k + 1 - (int64_t)width;
        taps[k] = row < 0 ? zeros : d->codes + (size_t)row * e;
    }
    if (d->model->datapath->knobs.conv == QM_CONV_INT) {
        d->kernels.conv_i8(v, taps, l->conv_codes, e, l->conv_factor, l->conv_bias, e, width);
        d->kernels.silu_f32(v, e);
        return;
    }
    const float *numbers[QM_MAX_CONV];
    for (size_t k = 0; k < width; k++) {
        d->kernels.dequantize_i8(scratch + k * e, l->conv_codes + k * e, l->scales.w, e);
        d->kernels.dequantize_i8(scratch + (width + k) * e, taps[k], l->scales.x, e);
        numbers[k] = scratch + (width + k) * e;
    }
    float *a = scratch + 2 * width * e;
    d->kernels.conv_f32(a, numbers, scratch, e, l->conv_bias, e, width);
    for (size_t c = 0; c < e; c++)
        v[c] = 1.0f;
    d->kernels.gate_sigmoid_f32(v, a, e);
}

typedef struct range {
    float low, high;
} range;

static void widen(range *r, float x)
{
    r->low = fminf(r->low, x);
    r->high = fmaxf(r->high, x);
}

static void print_range(const char *name, range r)
{
    fprintf(stderr, "  %s range: [%.6f, %.6f]\n", name, (double)r.low, (double)r.high);
}

static void print_block(const qc_grid_debug *d, const quamba_view *view, float *v, float *scratch)
{
    const qm_layer *l = &d->model->layers[view->layer];
    const bool even = d->model->datapath->knobs.rnd == QM_RND_EVEN;
    const float s = l->scales.u;
    range truth = {INFINITY, -INFINITY}, grid = truth, output = truth;
    uint64_t n_over = 0;
    const uint64_t total = (uint64_t)view->n_rows * (uint64_t)view->n_cols;
    char examples[N_EXAMPLES][160];
    for (int32_t r = 0; r < view->n_rows; r++) {
        convolve(d, l, r, v, scratch);
        for (int32_t c = 0; c < view->n_cols; c++) {
            const float q = even ? rintf(v[c] / s) : roundf(v[c] / s);
            const float on_grid = fminf(fmaxf(q, -128.0f), 127.0f) * s;
            const float out = view->data[(size_t)r * view->row_stride + (size_t)c];
            widen(&truth, v[c]);
            widen(&grid, on_grid);
            widen(&output, out);
            if (!(fabsf(q) > 127.0f)) continue;
            if (n_over < N_EXAMPLES)
                snprintf(examples[n_over], sizeof examples[0],
                         "[0,%d,%d]: FP32 %.6f, grid %.6f, output %.6f", c, r, (double)v[c],
                         (double)on_grid, (double)out);
            n_over++;
        }
    }
    qc_debug_title("[Layer %d / layer_idx %d] Grid of the convolution output (Mode %s)",
                   view->layer + 1, view->layer, d->model->datapath->id);
    print_range("true FP32", truth);
    print_range("INT8 grid", grid);
    print_range("output", output);
    fprintf(stderr, "  beyond the codes: %" PRIu64 " of %" PRIu64 " (%.4f%%)\n", n_over, total,
            100.0 * (double)n_over / (double)total);
    for (uint64_t i = 0; i < n_over && i < N_EXAMPLES; i++)
        fprintf(stderr, "  %s\n", examples[i]);
    qc_debug_rule();
}

/* The codes of the convolution's input: x's half of in_proj's output, and a row of zeros. */
static void keep_codes(qc_grid_debug *d, const quamba_view *view)
{
    const size_t e = (size_t)d->model->config.d_inner;
    free(d->codes);
    d->codes = qm_alloc((size_t)view->n_rows + 1, e);
    d->n_rows = view->n_rows;
    for (int32_t r = 0; d->codes != NULL && r < view->n_rows; r++)
        memcpy(d->codes + (size_t)r * e, view->codes + (size_t)r * view->row_stride, e);
}

void qc_grid_debug_view(qc_grid_debug *d, const quamba_view *view)
{
    const size_t e = (size_t)d->model->config.d_inner, width = (size_t)d->model->config.d_conv;
    int i = 0;
    while (i < N_LAYERS && (d->layers[i] != view->layer || d->shown[i]))
        i++;
    if (i == N_LAYERS || view->position != 0) return;
    if (strcmp(view->edge, "in_proj_out") == 0 && view->codes != NULL && d->codes == NULL)
        keep_codes(d, view);
    if (strcmp(view->edge, "conv_out") != 0 || view->data == NULL || d->codes == NULL) return;
    if (view->n_rows == d->n_rows) { /* of the session whose codes were kept, the first one */
        float *scratch = qm_alloc(2 * width + 2, e * sizeof *scratch);
        if (scratch != NULL) print_block(d, view, scratch, scratch + e);
        free(scratch);
        d->shown[i] = true;
    }
    free(d->codes);
    d->codes = NULL;
}
