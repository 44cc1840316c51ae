#include "eval/identity.h"

#include "base/hash.h"
#include "base/mem.h"
#include "format/format.h"

#include <stdlib.h>
#include <string.h>

static quamba_status tensor_hash(const qm_tensor *t, uint64_t *hash, quamba_error *err)
{
    uint64_t bytes = qm_tensor_bytes(t), h = qm_hash64(t->name, strlen(t->name), 0);
    const char *type = qm_dtype_stored(t->dtype);
    h = qm_hash64(type, strlen(type), h);
    for (int32_t i = 0; i < t->ndim; i++) /* numbers as seeds: their bytes have an order */
        h = qm_hash64(NULL, 0, h + (uint64_t)t->shape[i]);
    if (qm_tensor_is_contiguous(t)) {
        *hash = qm_hash64(t->data, (size_t)bytes, h);
        return QUAMBA_OK;
    }
    void *copy = qm_alloc((size_t)bytes, 1);
    if (!copy) return qm_fail_memory(err, bytes, t->name);
    qm_tensor_copy(t, copy);
    *hash = qm_hash64(copy, (size_t)bytes, h);
    free(copy);
    return QUAMBA_OK;
}

quamba_status qm_checkpoint_hash(const char *path, uint64_t *hash, quamba_error *err)
{
    qm_source *source = NULL;
    quamba_status status = qm_source_open(&source, path, err);
    *hash = 0;
    for (size_t i = 0; status == QUAMBA_OK && i < qm_source_count(source); i++) {
        uint64_t one = 0;
        status = tensor_hash(qm_source_at(source, i), &one, err);
        *hash += one; /* a sum does not depend on the order */
    }
    qm_source_close(&source);
    return status;
}
