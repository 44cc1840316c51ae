/* First every parameter is converted to half, in place of a half-precision model; then the matrices
 * are changed where they lie, each step rounding to half once, as upstream's tensor operations do.
 */
#include "quant/fuse.h"

#include "base/hadamard.h"
#include "base/half.h"
#include "kernels/kernels.h"
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS = 16, /* gathered, rotated and put back together */
    PARALLEL =
        1 << 16, /* elements of a tensor from which threads share it: waking them costs more */
};

/* T_n of a vector. */
typedef struct rotation {
    int32_t n, m, width;
    int8_t signs[QM_HADAMARD_MAX_M * QM_HADAMARD_MAX_M];
    float scale;
} rotation;

typedef struct fusing {
    qm_fused *fused;
    const qm_source *source;
    qm_kernels kernels;
    int32_t n_threads;
    rotation model, inner; /* of d_model and d_inner */
    float *scratch;        /* [n_threads][scratch_size] */
    size_t scratch_size;
    quamba_error *err;
} fusing;

/* ---- the list of tensors -------------------------------------------------------------------- */

#define LAYER "backbone.layers.%" PRId32 "."

/* Adds a tensor; while the arena measures, data stays NULL. */
static void add(qm_fused *f, qm_dtype dtype, const int64_t *shape, size_t ndim, const char *name,
                int32_t layer)
{
    uint64_t bytes = 0;
    qm_tensor *t = &f->tensors[f->n];
    char *full = f->names[f->n++];
    int at = layer < 0 ? 0 : snprintf(full, sizeof f->names[0], LAYER, layer);
    snprintf(full + at, sizeof f->names[0] - (size_t)at, "%s", name);
    *t = (qm_tensor){.name = full, .dtype = dtype};
    if (!qm_tensor_set_shape(t, shape, ndim, &bytes)) f->arena.bad = true;
    t->data = QM_CARVE(&f->arena, unsigned char, (int64_t)bytes);
}

static void add_all(qm_fused *f)
{
    const qm_config *c = &f->config;
    const int64_t e = c->d_inner, d = c->d_model, n = c->d_state, r = c->dt_rank, v = c->n_vocab;
    const struct {
        const char *name;
        qm_dtype dtype;
        size_t ndim;
        int64_t shape[3];
    } parts[] = {
        {"norm.weight",           QM_F16, 1, {d}              },
        {"mixer.A_log",           QM_F32, 2, {e, n}           },
        {"mixer.D",               QM_F32, 1, {e}              },
        {"mixer.in_proj.weight",  QM_F16, 2, {2 * e, d}       },
        {"mixer.conv1d.weight",   QM_F16, 3, {e, 1, c->d_conv}},
        {"mixer.conv1d.bias",     QM_F16, 1, {e}              },
        {"mixer.x_proj.weight",   QM_F16, 2, {r + 2 * n, e}   },
        {"mixer.dt_proj.weight",  QM_F16, 2, {e, r}           },
        {"mixer.dt_proj.bias",    QM_F16, 1, {e}              },
        {"mixer.out_proj.weight", QM_F16, 2, {d, e}           },
    };
    f->n = 0;
    add(f, QM_F16, (int64_t[]){v, d}, 2, "backbone.embedding.weight", -1);
    for (int32_t i = 0; i < c->n_layer; i++)
        for (size_t k = 0; k < QM_COUNT(parts); k++)
            add(f, parts[k].dtype, parts[k].shape, parts[k].ndim, parts[k].name, i);
    add(f, QM_F16, (int64_t[]){d}, 1, "backbone.norm_f.weight", -1);
    add(f, QM_F16, (int64_t[]){v, d}, 2, "lm_head.weight", -1);
}

const qm_tensor *qm_fused_find(const void *fused, const char *name)
{
    const qm_fused *f = fused;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->names[i], name) == 0) return &f->tensors[i];
    return NULL;
}

uint64_t qm_fused_bytes(const qm_fused *f)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->n; i++)
        bytes += qm_tensor_bytes(&f->tensors[i]);
    return bytes;
}

/* The elements of one of our own tensors, to be written. */
static uint16_t *halves(const fusing *f, int32_t layer, const char *name)
{
    char full[64];
    int at = layer < 0 ? 0 : snprintf(full, sizeof full, LAYER, layer);
    snprintf(full + at, sizeof full - (size_t)at, "%s", name);
    return (uint16_t *)(uintptr_t)qm_fused_find(f->fused, full)->data;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* The tensor of the source that becomes *t, of the same shape, floating point. */
static quamba_status find_input(const fusing *f, const qm_tensor *t, const qm_tensor **input)
{
    bool embedding = strcmp(t->name, "backbone.embedding.weight") == 0;
    bool tied = strcmp(t->name, "lm_head.weight") == 0 && !qm_source_find(f->source, t->name);
    const qm_tensor *in =
        embedding || tied ? qm_config_embedding(f->source) : qm_source_find(f->source, t->name);
    char have[192], want[192];
    if (!in) return qm_fail(f->err, QUAMBA_E_FORMAT, 0, "tensor %s is missing", t->name);
    bool fits = in->ndim == t->ndim;
    for (int32_t i = 0; fits && i < t->ndim; i++)
        fits = in->shape[i] == t->shape[i];
    if (!fits || (in->dtype != QM_F32 && in->dtype != QM_F16 && in->dtype != QM_BF16))
        return qm_fail(f->err, QUAMBA_E_FORMAT, 0,
                       "tensor %s is %s, must be %s of any floating-point type", in->name,
                       qm_tensor_describe(in, have), qm_tensor_describe(t, want));
    *input = in;
    return QUAMBA_OK;
}

static quamba_status check_finite(const fusing *f, const qm_tensor *t, const char *why)
{
    uint64_t bad = 0;
    if (qm_all_finite(t->data, t->dtype, qm_tensor_count(t), &bad)) return QUAMBA_OK;
    return qm_fail(f->err, QUAMBA_E_FORMAT, bad, "tensor %s: element %" PRIu64 " %s", t->name, bad,
                   why);
}

/* Reads one tensor, to half or, for A_log and D, to float. */
static quamba_status convert(const fusing *f, const qm_tensor *t)
{
    enum { PIECE = 1024 };
    const qm_tensor *in = NULL;
    quamba_status status = find_input(f, t, &in);
    if (status != QUAMBA_OK) return status;
    uint64_t n = qm_tensor_count(t), n_pieces = (n + PIECE - 1) / PIECE;
    unsigned char *out = (unsigned char *)(uintptr_t)t->data;
#pragma omp parallel for num_threads(f->n_threads) if (n >= PARALLEL)
    for (uint64_t i = 0; i < n_pieces; i++) {
        uint64_t first = i * PIECE, count = n - first < PIECE ? n - first : PIECE;
        uint16_t narrow[PIECE];
        float wide[PIECE];
        qm_tensor_copy_range(in, first, count, in->dtype == QM_F32 ? (void *)wide : narrow);
        if (in->dtype == QM_F16) f->kernels.widen_f16(wide, narrow, count);
        if (in->dtype == QM_BF16) f->kernels.widen_bf16(wide, narrow, count);
        if (t->dtype == QM_F32) {
            memcpy(out + first * sizeof *wide, wide, count * sizeof *wide);
            continue;
        }
        uint16_t *half = (uint16_t *)(void *)out + first;
        for (uint64_t k = 0; k < count; k++)
            half[k] = qm_f16_f32(wide[k]);
    }
    return check_finite(f, t,
                        t->dtype == QM_F32 ? "is not a finite number"
                                           : "is not a finite half-precision number");
}

/* Everything in the source must have become part of the model. */
static quamba_status refuse_leftovers(const fusing *f)
{
    for (size_t i = 0; i < qm_source_count(f->source); i++) {
        const qm_tensor *t = qm_source_at(f->source, i);
        if (t != qm_config_embedding(f->source) && !qm_fused_find(f->fused, t->name))
            return qm_fail(f->err, QUAMBA_E_FORMAT, i,
                           "tensor %.200s is not part of a Mamba-1 model of %" PRId32 " layers",
                           t->name, f->fused->config.n_layer);
    }
    return QUAMBA_OK;
}

/* ---- changing matrices where they lie ---------------------------------------------------------
 */

/* The product of two halves is exact in float, so this rounds once. */
static void scale_columns(const fusing *f, uint16_t *w, int64_t rows, int32_t cols,
                          const uint16_t *gain)
{
#pragma omp parallel for num_threads(f->n_threads) if (rows * cols >= PARALLEL)
    for (int64_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < cols; c++)
            w[r * cols + c] = qm_f16_f32(qm_f32_f16(w[r * cols + c]) * qm_f32_f16(gain[c]));
}

static void fill_ones(uint16_t *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 0x3c00;
}

static float *scratch_of_thread(const fusing *f)
{
    return f->scratch + (size_t)omp_get_thread_num() * f->scratch_size;
}

static void rotate(const fusing *f, const rotation *t, float *x, float *scratch)
{
    f->kernels.hadamard_f32(x, scratch, t->signs, (size_t)t->m, (size_t)t->width, t->scale);
}

/* Every row of w [rows][t->n]. */
static void rotate_rows(const fusing *f, uint16_t *w, int64_t rows, const rotation *t)
{
#pragma omp parallel for num_threads(f->n_threads) if (rows * t->n >= PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        float *x = scratch_of_thread(f);
        uint16_t *row = w + r * t->n;
        f->kernels.widen_f16(x, row, (size_t)t->n);
        rotate(f, t, x, x + t->n);
        for (int32_t i = 0; i < t->n; i++)
            row[i] = qm_f16_f32(x[i]);
    }
}

/* Every column of w [t->n][cols]. */
static void rotate_columns(const fusing *f, uint16_t *w, int32_t cols, const rotation *t)
{
#pragma omp parallel for num_threads(f->n_threads) if ((int64_t)t->n * cols >= PARALLEL)
    for (int32_t first = 0; first < cols; first += COLUMNS) {
        float *x = scratch_of_thread(f); /* [COLUMNS][t->n] */
        int32_t count = cols - first < COLUMNS ? cols - first : COLUMNS;
        for (int32_t r = 0; r < t->n; r++)
            for (int32_t c = 0; c < count; c++)
                x[c * t->n + r] = qm_f32_f16(w[(int64_t)r * cols + first + c]);
        for (int32_t c = 0; c < count; c++)
            rotate(f, t, x + c * t->n, x + COLUMNS * t->n);
        for (int32_t r = 0; r < t->n; r++)
            for (int32_t c = 0; c < count; c++)
                w[(int64_t)r * cols + first + c] = qm_f16_f32(x[c * t->n + r]);
    }
}

static void fuse_layer(const fusing *f, int32_t layer)
{
    const int32_t d = f->model.n, e = f->inner.n;
    uint16_t *norm = halves(f, layer, "norm.weight");
    uint16_t *in_proj = halves(f, layer, "mixer.in_proj.weight");
    uint16_t *out_proj = halves(f, layer, "mixer.out_proj.weight");
    scale_columns(f, in_proj, 2 * (int64_t)e, d, norm);
    fill_ones(norm, d);
    rotate_rows(f, in_proj, 2 * (int64_t)e, &f->model);
    rotate_rows(f, out_proj, d, &f->inner);
    rotate_columns(f, out_proj, e, &f->model);
}

static quamba_status fuse_all(const fusing *f)
{
    const qm_config *c = &f->fused->config;
    quamba_status status = refuse_leftovers(f);
    for (size_t i = 0; status == QUAMBA_OK && i < f->fused->n; i++)
        status = convert(f, &f->fused->tensors[i]);
    if (status != QUAMBA_OK) return status;
    uint16_t *norm_f = halves(f, -1, "backbone.norm_f.weight");
    uint16_t *head = halves(f, -1, "lm_head.weight");
    scale_columns(f, head, c->n_vocab, c->d_model, norm_f);
    fill_ones(norm_f, c->d_model);
    rotate_rows(f, head, c->n_vocab, &f->model);
    rotate_rows(f, halves(f, -1, "backbone.embedding.weight"), c->n_vocab, &f->model);
    for (int32_t i = 0; i < c->n_layer; i++)
        fuse_layer(f, i);
    for (size_t i = 0; status == QUAMBA_OK && i < f->fused->n; i++)
        status = check_finite(f, &f->fused->tensors[i], "overflows half precision when rotated");
    return status;
}

/* ---- setting up -------------------------------------------------------------------------------
 */

static quamba_status make_rotation(rotation *t, int32_t n, const char *what, quamba_error *err)
{
    t->n = n;
    if (!qm_hadamard_split(n, &t->m, &t->width))
        return qm_fail(err, QUAMBA_E_UNSUPPORTED, 0,
                       "%s is %" PRId32 ": only 2^k, 12 * 2^k and 40 * 2^k can be rotated", what,
                       n);
    qm_hadamard_signs(t->m, t->signs);
    t->scale = (float)(1.0 / sqrt((double)n));
    return QUAMBA_OK;
}

static quamba_status find_config(fusing *f)
{
    qm_config *c = &f->fused->config;
    quamba_status status = qm_config_of(c, f->source, f->err);
    if (status != QUAMBA_OK) return status;
    if (c->mamba_version != 1)
        return qm_fail(f->err, QUAMBA_E_UNSUPPORTED, 0,
                       "this is a Mamba-2 model; only Mamba-1 can be quantized");
    if (c->quantized)
        return qm_fail(f->err, QUAMBA_E_UNSUPPORTED, 0,
                       "this model is quantized already; give the floating-point checkpoint");
    c->tie_embeddings = false;
    status = make_rotation(&f->model, c->d_model, "d_model", f->err);
    if (status == QUAMBA_OK) status = make_rotation(&f->inner, c->d_inner, "d_inner", f->err);
    return status;
}

static quamba_status allocate(fusing *f)
{
    qm_fused *out = f->fused;
    size_t n = 3 + 10 * (size_t)out->config.n_layer;
    out->tensors = qm_alloc(n, sizeof *out->tensors);
    out->names = qm_alloc(n, sizeof *out->names);
    if (!out->tensors || !out->names)
        return qm_fail_memory(f->err, n * sizeof *out->tensors, "the list of tensors");
    add_all(out);
    quamba_status status = qm_arena_alloc(&out->arena, "the model in half precision", f->err);
    if (status != QUAMBA_OK) return status;
    add_all(out);
    size_t d = (size_t)f->model.n, e = (size_t)f->inner.n;
    size_t columns = (COLUMNS + 1) * d, row = 2 * (d > e ? d : e);
    f->scratch_size = columns > row ? columns : row;
    f->scratch = qm_alloc((size_t)f->n_threads * f->scratch_size, sizeof *f->scratch);
    if (!f->scratch)
        return qm_fail_memory(f->err, (size_t)f->n_threads * f->scratch_size * sizeof *f->scratch,
                              "the rotation");
    return QUAMBA_OK;
}

quamba_status qm_fuse(qm_fused **fused, const qm_source *source, uint32_t cpu, int32_t n_threads,
                      quamba_error *err)
{
    fusing f = {.source = source,
                .kernels = qm_kernels_select(cpu),
                .n_threads = n_threads,
                .err = err,
                .fused = qm_alloc(1, sizeof *f.fused)};
    *fused = NULL;
    if (!f.fused) return qm_fail_memory(err, sizeof *f.fused, "the model in half precision");
    quamba_status status = find_config(&f);
    if (status == QUAMBA_OK) status = allocate(&f);
    if (status == QUAMBA_OK) status = fuse_all(&f);
    free(f.scratch);
    if (status != QUAMBA_OK) qm_fused_free(&f.fused);
    *fused = f.fused;
    return status;
}

void qm_fused_free(qm_fused **fused)
{
    qm_fused *f = *fused;
    if (!f) return;
    qm_arena_free(&f->arena);
    free(f->tensors);
    free(f->names);
    free(f);
    *fused = NULL;
}
