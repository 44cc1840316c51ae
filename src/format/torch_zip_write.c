/* pytorch_model.bin as torch.save writes a state dict: protocol 2, an OrderedDict of tensors. */
#include "base/mem.h"
#include "format/crc32.h"
#include "format/format.h"
#include "format/pickle.h"
#include "format/zip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a tensor is stored: the row-major elements of view are the storage, in which stride finds
 * the elements of the tensor. */
typedef struct layout {
    qm_tensor view;
    int64_t stride[QM_MAX_DIMS];
} layout;

static layout storage_layout(const qm_tensor *t)
{
    layout l = {.view = *t};
    uint64_t count = qm_tensor_count(t), reach = 1, bytes;
    for (int32_t i = 0; i < t->ndim && count > 0; i++)
        reach += ((uint64_t)t->shape[i] - 1) * (uint64_t)t->stride[i];
    if (t->column_major && t->ndim == 2 && qm_tensor_is_contiguous(t)) {
        l.view.shape[0] = t->shape[1];
        l.view.shape[1] = t->shape[0];
        l.view.stride[0] = t->stride[1];
        l.view.stride[1] = t->stride[0];
        l.stride[0] = 1;
        l.stride[1] = t->shape[0];
    } else if (count > 0 && reach == count) { /* some order without gaps: as it lies */
        memcpy(l.stride, t->stride, sizeof l.stride);
        l.view.ndim = 1;
        l.view.shape[0] = (int64_t)count;
        l.view.stride[0] = 1;
    } else {
        qm_tensor rows = {.dtype = t->dtype};
        qm_tensor_set_shape(&rows, t->shape, (size_t)t->ndim, &bytes); /* held when it was read */
        memcpy(l.stride, rows.stride, sizeof l.stride);
    }
    return l;
}

/* ---- the pickle ------------------------------------------------------------------------------ */

static void put_string(qm_text *out, const char *text)
{
    size_t n = strlen(text);
    char head[5] = {'X', (char)(n & 255), (char)(n >> 8 & 255), (char)(n >> 16 & 255),
                    (char)(n >> 24 & 255)};
    qm_text_add(out, head, sizeof head);
    qm_text_add(out, text, n);
}

/* Whole numbers >= 0, in as few bytes as pickle has for them. */
static void put_int(qm_text *out, uint64_t number)
{
    char bytes[10] = {number < 256 ? 'K' : number < 65536 ? 'M' : 'J'};
    size_t n = number < 256 ? 1 : number < 65536 ? 2 : 4, at = 1;
    if (number > INT32_MAX) { /* LONG1 of 8 bytes */
        bytes[0] = (char)0x8a;
        bytes[1] = 8;
        at = 2;
        n = 8;
    }
    for (size_t i = 0; i < n; i++)
        bytes[at + i] = (char)(number >> (8 * i) & 255);
    qm_text_add(out, bytes, at + n);
}

static void put_dims(qm_text *out, const int64_t *dims, int32_t n)
{
    qm_text_puts(out, "(");
    for (int32_t i = 0; i < n; i++)
        put_int(out, (uint64_t)dims[i]);
    qm_text_puts(out, "t");
}

static void put_float(qm_text *out, const qm_tensor *t)
{
    float value;
    memcpy(&value, t->data, sizeof value);
    double wide = (double)value;
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    char bytes[9] = {'G'};
    for (size_t i = 0; i < 8; i++)
        bytes[1 + i] = (char)(bits >> (56 - 8 * i) & 255);
    qm_text_add(out, bytes, sizeof bytes);
}

static bool is_float(const qm_tensor *t)
{
    return t->python_float && t->ndim == 0 && t->dtype == QM_F32;
}

static void put_tensor(qm_text *out, const qm_tensor *t, size_t key)
{
    layout l = storage_layout(t);
    char text[24];
    qm_text_puts(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_string(out, "storage");
    qm_text_printf(out, "ctorch\n%s\n", qm_torch_storage_name(t->dtype));
    snprintf(text, sizeof text, "%zu", key);
    put_string(out, text);
    put_string(out, "cpu");
    put_int(out, qm_tensor_count(t));
    qm_text_puts(out, "tQ");
    put_int(out, 0); /* offset */
    put_dims(out, t->shape, t->ndim);
    put_dims(out, l.stride, t->ndim);
    qm_text_puts(out, "\x89" /* no gradient */ "ccollections\nOrderedDict\n)R" /* no hooks */ "tR");
}

static void put_pickle(qm_text *out, const qm_tensor *tensors, size_t n)
{
    qm_text_puts(out, "\x80\x02"
                      "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < n; i++) {
        put_string(out, tensors[i].name);
        if (is_float(&tensors[i]))
            put_float(out, &tensors[i]);
        else
            put_tensor(out, &tensors[i], i);
    }
    qm_text_puts(out, "u.");
}

/* ---- the archive ----------------------------------------------------------------------------- */

typedef struct output {
    qm_zip_writer zip;
    qm_crc32 crc;
    uint32_t sum;
} output;

static quamba_status add_to_sum(void *user, const void *data, size_t size, quamba_error *err)
{
    (void)err;
    output *out = user;
    out->sum = qm_crc32_update(&out->crc, out->sum, data, size);
    return QUAMBA_OK;
}

static quamba_status write_on(void *user, const void *data, size_t size, quamba_error *err)
{
    output *out = user;
    return qm_zip_put(&out->zip, data, size, err);
}

static quamba_status write_member(output *out, const char *name, const qm_tensor *bytes,
                                  quamba_error *err)
{
    char path[64];
    snprintf(path, sizeof path, "pytorch_model/%s", name);
    out->sum = 0;
    quamba_status status = qm_tensor_stream(bytes, add_to_sum, out, err);
    if (status == QUAMBA_OK)
        status = qm_zip_begin(&out->zip, path, qm_tensor_bytes(bytes), out->sum, err);
    if (status == QUAMBA_OK) status = qm_tensor_stream(bytes, write_on, out, err);
    return status;
}

static quamba_status write_text(output *out, const char *name, const char *text, size_t size,
                                quamba_error *err)
{
    qm_tensor bytes = {
        .dtype = QM_U8, .ndim = 1, .shape = {(int64_t)size}, .stride = {1}, .data = text};
    return write_member(out, name, &bytes, err);
}

static quamba_status write_archive(output *out, const qm_tensor *tensors, size_t n,
                                   quamba_error *err)
{
    qm_text pickle = {0};
    put_pickle(&pickle, tensors, n);
    quamba_status status = pickle.failed
                               ? qm_fail_memory(err, pickle.size, "a pickle")
                               : write_text(out, "data.pkl", pickle.data, pickle.size, err);
    qm_text_free(&pickle);
    if (status == QUAMBA_OK) status = write_text(out, "byteorder", "little", 6, err);
    for (size_t i = 0; status == QUAMBA_OK && i < n; i++) {
        if (is_float(&tensors[i])) continue;
        char name[32];
        snprintf(name, sizeof name, "data/%zu", i);
        layout l = storage_layout(&tensors[i]);
        status = write_member(out, name, &l.view, err);
    }
    if (status == QUAMBA_OK) status = write_text(out, "version", "3\n", 2, err);
    if (status == QUAMBA_OK) status = qm_zip_finish(&out->zip, err);
    return status;
}

quamba_status qm_torch_zip_write(const char *path, const qm_tensor *tensors, size_t n,
                                 quamba_error *err)
{
    qm_writer *file = NULL;
    output *out = qm_alloc(1, sizeof *out);
    if (!out) return qm_fail_memory(err, sizeof *out, path);
    qm_crc32_init(&out->crc);
    quamba_status status = qm_writer_open(&file, path, err);
    out->zip = (qm_zip_writer){.file = file, .zip64_from = 0xffffffff};
    if (status == QUAMBA_OK) status = write_archive(out, tensors, n, err);
    if (status == QUAMBA_OK) status = qm_writer_commit(file, err);
    qm_writer_close(&file);
    qm_zip_writer_free(&out->zip);
    free(out);
    return status;
}
