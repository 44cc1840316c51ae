#include "model/binder.h"

#include "base/half.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *qm_bind_name(qm_binder *b, int32_t layer, const char *rest)
{
    if (layer < 0)
        snprintf(b->name, sizeof b->name, "%s", rest);
    else
        snprintf(b->name, sizeof b->name, "backbone.layers.%" PRId32 ".%s", layer, rest);
    return b->name;
}

/* "f32, f16 or bf16" */
static const char *type_words(unsigned types, char out[64])
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < QM_N_DTYPES; i++) {
        if (!(types >> i & 1)) continue;
        types &= ~(1u << i);
        const char *between = at == 0 ? "" : types == 0 ? " or " : ", ";
        at += (size_t)snprintf(out + at, 64 - at, "%s%s", between, qm_dtype_name((qm_dtype)i));
    }
    return out;
}

quamba_status qm_bind_find(qm_binder *b, unsigned types, int32_t ndim, const int64_t *shape,
                           const qm_tensor **found)
{
    char shown[192], wanted[64] = "";
    const qm_tensor *t = b->find(b->user, b->name);
    *found = NULL;
    if (b->missing)
        return t || b->missing(b->missing_user, b->name, NULL)
                   ? QUAMBA_OK
                   : qm_fail_memory(b->err, sizeof b->name, "the list of missing tensors");
    if (!t) return qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is missing", b->name);
    if (t->dtype == QM_I32 && !(types >> QM_I32 & 1))
        return qm_fail(b->err, QUAMBA_E_UNSUPPORTED, 0,
                       "tensor %s is %s: packed 4-bit weights (W4A8, W4A16) cannot be run, only "
                       "W8A8",
                       b->name, qm_tensor_describe(t, shown));
    bool fits = t->ndim == ndim;
    for (int32_t i = 0; fits && i < ndim; i++)
        fits = t->shape[i] == shape[i];
    if (!fits) {
        size_t at = 0;
        for (int32_t i = 0; i < ndim; i++)
            at += (size_t)snprintf(wanted + at, sizeof wanted - at, "%s%" PRId64, i ? ", " : "",
                                   shape[i]);
        return qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must be [%s]", b->name,
                       qm_tensor_describe(t, shown), wanted);
    }
    if (!(types >> t->dtype & 1))
        return qm_fail(b->err, QUAMBA_E_FORMAT, 0, "tensor %s is %s, must be %s", b->name,
                       qm_tensor_describe(t, shown), type_words(types, wanted));
    *found = t;
    return QUAMBA_OK;
}

static float widen(const void *data, qm_dtype dtype, size_t i)
{
    if (dtype == QM_F32) return ((const float *)data)[i];
    uint16_t bits = ((const uint16_t *)data)[i];
    return dtype == QM_F16 ? qm_f32_f16(bits) : qm_f32_bf16(bits);
}

quamba_status qm_bind_small(qm_binder *b, const float **slot, int32_t ndim, const int64_t *shape,
                            bool half)
{
    const qm_tensor *t;
    quamba_status status = qm_bind_find(b, QM_SET_FLOAT, ndim, shape, &t);
    if (!t) return status;
    int64_t rows = shape[0], cols = ndim > 1 ? shape[ndim - 1] : 1;
    size_t n = (size_t)(rows * cols);
    float *out = QM_CARVE(&b->model->arena, float, rows, cols);
    b->model->n_parameters += n;
    b->model->vector_bytes += n * sizeof(float);
    *slot = out;
    if (!b->filling) return QUAMBA_OK;

    void *plain = qm_alloc(n, qm_dtype_size(t->dtype));
    if (!plain) return qm_fail_memory(b->err, n * qm_dtype_size(t->dtype), b->name);
    qm_tensor_copy(t, plain);
    uint64_t bad;
    if (!qm_all_finite(plain, t->dtype, n, &bad))
        status = qm_fail(b->err, QUAMBA_E_FORMAT, bad,
                         "tensor %s: element %" PRIu64 " is not a finite number", b->name, bad);
    bool round = half && b->model->half_weights;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            float x = widen(plain, t->dtype, (size_t)(r * cols + c));
            out[c * rows + r] = round ? qm_round_f16(x) : x;
        }
    free(plain);
    return status;
}

quamba_status qm_bind_matrix(qm_binder *b, qm_linear *linear, int32_t n_out, int32_t n_in,
                             bool half)
{
    const qm_tensor *t;
    quamba_status status = qm_bind_find(b, QM_SET_FLOAT, 2, (int64_t[]){n_out, n_in}, &t);
    if (!t) return status;
    size_t n = (size_t)n_out * (size_t)n_in, size = qm_dtype_size(t->dtype);
    bool convert = half && t->dtype != QM_F16;
    bool in_place = !convert && qm_tensor_is_contiguous(t) && (uintptr_t)t->data % size == 0;
    b->model->n_parameters += n;
    *linear = (qm_linear){
        .weight = t->data, .dtype = convert ? QM_F16 : t->dtype, .n_out = n_out, .n_in = n_in};
    if (in_place) return QUAMBA_OK;

    int64_t out_size = (int64_t)qm_dtype_size(linear->dtype);
    unsigned char *out = QM_CARVE(&b->model->arena, unsigned char, n_out, n_in, out_size);
    linear->weight = out;
    if (!b->filling) return QUAMBA_OK;
    if (!convert) {
        qm_tensor_copy(t, out);
        return QUAMBA_OK;
    }
    void *plain = qm_alloc(n, size);
    if (!plain) return qm_fail_memory(b->err, n * size, b->name);
    qm_tensor_copy(t, plain);
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = qm_f16_f32(widen(plain, t->dtype, i));
        memcpy(out + i * sizeof bits, &bits, sizeof bits);
    }
    free(plain);
    return QUAMBA_OK;
}

quamba_status qm_bind_warn(qm_binder *b, const char *format, ...)
{
    quamba_model *m = b->model;
    if (!b->filling) return QUAMBA_OK;
    char(*grown)[256] = realloc(m->warnings, (m->n_warnings + 1) * sizeof *grown);
    if (!grown) return qm_fail_memory(b->err, sizeof *grown, "a warning");
    m->warnings = grown;
    va_list args;
    va_start(args, format);
    vsnprintf(m->warnings[m->n_warnings++], sizeof *grown, format, args);
    va_end(args);
    return QUAMBA_OK;
}
