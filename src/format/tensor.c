#include "base/mem.h"
#include "format/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool qm_tensor_set_shape(qm_tensor *tensor, const int64_t *shape, size_t ndim, uint64_t *bytes)
{
    if (ndim > QM_MAX_DIMS) return false;
    /* A dimension of 0 must not hide that the others do not fit: strides are their products. */
    uint64_t room = qm_dtype_size(tensor->dtype);
    bool empty = false;
    for (size_t i = ndim; i-- > 0;) {
        if (shape[i] < 0) return false;
        tensor->shape[i] = shape[i];
        tensor->stride[i] = (int64_t)(room / qm_dtype_size(tensor->dtype));
        empty = empty || shape[i] == 0;
        if (shape[i] > 0 && !qm_mul_u64(room, (uint64_t)shape[i], &room)) return false;
        if (room > INT64_MAX) return false;
    }
    tensor->ndim = (int32_t)ndim;
    *bytes = empty ? 0 : room;
    return true;
}

uint64_t qm_tensor_count(const qm_tensor *tensor)
{
    uint64_t count = 1;
    for (int32_t i = 0; i < tensor->ndim; i++)
        count *= (uint64_t)tensor->shape[i];
    return count;
}

uint64_t qm_tensor_bytes(const qm_tensor *tensor)
{
    return qm_tensor_count(tensor) * qm_dtype_size(tensor->dtype);
}

bool qm_tensor_is_contiguous(const qm_tensor *tensor)
{
    int64_t expected = 1;
    if (qm_tensor_count(tensor) == 0) return true;
    for (int32_t i = tensor->ndim; i-- > 0;) {
        if (tensor->shape[i] == 1) continue; /* its stride is never used */
        if (tensor->stride[i] != expected) return false;
        expected *= tensor->shape[i];
    }
    return true;
}

/* n elements of constant size, step elements apart; memcpy because they may be unaligned. */
#define COPY_RUN(size)                                                                             \
    for (uint64_t i = 0; i < n; i++, in += step * (size), out += (size))                           \
    memcpy(out, in, (size))

static void copy_run(unsigned char *out, const unsigned char *in, uint64_t n, uint64_t step,
                     size_t size)
{
    if (step == 1) {
        memcpy(out, in, n * size);
    } else if (size == 1) {
        COPY_RUN(1);
    } else if (size == 2) {
        COPY_RUN(2);
    } else if (size == 4) {
        COPY_RUN(4);
    } else {
        COPY_RUN(8);
    }
}

void qm_tensor_copy_range(const qm_tensor *tensor, uint64_t first, uint64_t n, void *out)
{
    size_t size = qm_dtype_size(tensor->dtype);
    const unsigned char *in = tensor->data;
    unsigned char *at = out;
    if (n == 0) return;
    if (qm_tensor_is_contiguous(tensor)) {
        memcpy(at, in + first * size, n * size);
        return;
    }
    int32_t last = tensor->ndim - 1; /* not contiguous: has at least one dimension */
    uint64_t n_row = (uint64_t)tensor->shape[last];
    while (n > 0) {
        uint64_t column = first % n_row, row = first / n_row, run = n_row - column;
        uint64_t offset = column * (uint64_t)tensor->stride[last];
        for (int32_t i = last; i-- > 0; row /= (uint64_t)tensor->shape[i])
            offset += row % (uint64_t)tensor->shape[i] * (uint64_t)tensor->stride[i];
        if (run > n) run = n;
        copy_run(at, in + offset * size, run, (uint64_t)tensor->stride[last], size);
        at += run * size;
        first += run;
        n -= run;
    }
}

void qm_tensor_copy(const qm_tensor *tensor, void *out)
{
    qm_tensor_copy_range(tensor, 0, qm_tensor_count(tensor), out);
}

quamba_status qm_tensor_stream(const qm_tensor *tensor, qm_byte_sink *sink, void *user,
                               quamba_error *err)
{
    enum { PIECE = 1 << 20 }; /* elements fit, whatever their size */
    uint64_t size = qm_dtype_size(tensor->dtype), count = qm_tensor_count(tensor), n;
    if (count == 0) return QUAMBA_OK;
    if (qm_tensor_is_contiguous(tensor)) return sink(user, tensor->data, count * size, err);
    unsigned char *piece = malloc(PIECE);
    quamba_status status = piece ? QUAMBA_OK : qm_fail_memory(err, PIECE, tensor->name);
    for (uint64_t at = 0; status == QUAMBA_OK && at < count; at += n) {
        n = count - at < PIECE / size ? count - at : PIECE / size;
        qm_tensor_copy_range(tensor, at, n, piece);
        status = sink(user, piece, n * size, err);
    }
    free(piece);
    return status;
}

const char *qm_tensor_describe(const qm_tensor *tensor, char out[192])
{
    int used = snprintf(out, 192, "%s [", qm_dtype_name(tensor->dtype));
    for (int32_t i = 0; i < tensor->ndim; i++) /* at most 5 + 8 * 21 + 1 characters */
        used += snprintf(out + used, 192 - (size_t)used, "%s%" PRId64, i > 0 ? ", " : "",
                         tensor->shape[i]);
    snprintf(out + used, 192 - (size_t)used, "]");
    return out;
}
