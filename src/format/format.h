/* Bytes to named tensors.  A source is a checkpoint: the tensors of one file, or of a directory
 * with its config.json.  Nothing here knows Mamba.  Every byte is hostile until checked: after
 * qm_source_open succeeds, every element that a tensor's shape and strides reach lies inside the
 * mapped file. */
#ifndef QM_FORMAT_FORMAT_H
#define QM_FORMAT_FORMAT_H

#include "base/dtype.h"
#include "base/json.h"
#include "base/status.h"

enum { QM_MAX_DIMS = 8 };

typedef struct qm_tensor {
    const char *name; /* borrowed from the source */
    qm_dtype dtype;
    int32_t ndim;                /* 0 for a scalar */
    int64_t shape[QM_MAX_DIMS];  /* each >= 0 */
    int64_t stride[QM_MAX_DIMS]; /* in elements, >= 0; row-major unless the file says otherwise */
    const void *data;            /* first element, possibly unaligned; NULL without elements */
    bool python_float;           /* pickled as a Python float: shown as a 0-dim f32 */
    bool column_major;           /* row-major here, but transposed in the pytorch_model.bin it was
                                    converted from; for writing one again */
} qm_tensor;

typedef struct qm_source qm_source;

/* path: a checkpoint directory, a .safetensors file, a model.safetensors.index.json, or a
 * pytorch_model.bin; the kind is probed from the content.  Errors name the file and the tensor. */
quamba_status qm_source_open(qm_source **source, const char *path, quamba_error *err);
void qm_source_close(qm_source **source);

/* Tensors in the order of the file. */
size_t qm_source_count(const qm_source *source);
const qm_tensor *qm_source_at(const qm_source *source, size_t index);
/* NULL when there is none of that name. */
const qm_tensor *qm_source_find(const qm_source *source, const char *name);

/* "safetensors", "sharded safetensors", "pytorch zip" */
const char *qm_source_format(const qm_source *source);
/* The path of the file that holds the tensors (for shards, the index), for messages. */
const char *qm_source_path(const qm_source *source);
/* The directory's config.json, an object; NULL when path was a file.  Borrowed. */
const json_t *qm_source_config(const qm_source *source);
/* The `__metadata__` of a safetensors file, an object of strings; NULL when it has none. */
const json_t *qm_source_metadata(const qm_source *source);
/* Entries of a pickle that are no numbers and were left out (None, int, bool, string). */
size_t qm_source_skipped(const qm_source *source);

/* The same from bytes in memory, which the caller keeps until close; name stands for the path in
 * messages.  A sharded index cannot be opened so: it names other files. */
quamba_status qm_source_open_memory(qm_source **source, const void *data, size_t size,
                                    const char *name, quamba_error *err);

/* A hint that the tensor's bytes are not needed soon: the pages that hold nothing else may leave
 * memory; they come back from the file when they are read. */
void qm_source_discard(const qm_source *source, const qm_tensor *tensor);

/* Number of elements, and of their bytes; the product was checked when the source was opened. */
uint64_t qm_tensor_count(const qm_tensor *tensor);
uint64_t qm_tensor_bytes(const qm_tensor *tensor);
/* True when the elements lie row-major without gaps. */
bool qm_tensor_is_contiguous(const qm_tensor *tensor);
/* Copies the elements row-major into out, qm_tensor_bytes of them. */
void qm_tensor_copy(const qm_tensor *tensor, void *out);
/* The same in pieces, for n elements from number first on; first + n <= qm_tensor_count. */
void qm_tensor_copy_range(const qm_tensor *tensor, uint64_t first, uint64_t n, void *out);
/* Hands the bytes, row-major, to sink piece by piece until it fails or all are through; copies only
 * what does not lie so. */
typedef quamba_status qm_byte_sink(void *user, const void *data, size_t size, quamba_error *err);
quamba_status qm_tensor_stream(const qm_tensor *tensor, qm_byte_sink *sink, void *user,
                               quamba_error *err);
/* "f16 [768, 1536]" into out; returns out. */
const char *qm_tensor_describe(const qm_tensor *tensor, char out[192]);

/* Fills ndim, shape and row-major strides, and *bytes; false when there are more than QM_MAX_DIMS,
 * one is negative or the size does not fit in 63 bits.  tensor->dtype is set. */
bool qm_tensor_set_shape(qm_tensor *tensor, const int64_t *shape, size_t ndim, uint64_t *bytes);

/* Writers.  Names must be unique; files appear whole or not at all.  Bits are never changed.
 *
 * safetensors stores elements row-major and leaves no gap between tensors; those whose size is a
 * multiple of 64 bytes begin at one in the file, the others at least at a multiple of their element
 * size.  metadata: an object of strings or NULL; which tensors are Python floats or column-major is
 * added to it and recognised when the file is read. */
quamba_status qm_safetensors_write(const char *path, const qm_tensor *tensors, size_t n,
                                   const json_t *metadata, quamba_error *err);
/* The pytorch_model.bin form, read by torch.load(weights_only=True).  Strides are kept where the
 * elements fill their range; a tensor with gaps is stored row-major. */
quamba_status qm_torch_zip_write(const char *path, const qm_tensor *tensors, size_t n,
                                 quamba_error *err);

#endif
