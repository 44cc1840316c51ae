/* The half-precision model that is calibrated and quantized: norms folded into the matrices behind
 * them, embedding, head, in_proj and out_proj rotated (base/hadamard.h).  In exact arithmetic it
 * computes what the checkpoint computes, provided that the input of out_proj is rotated at run
 * time.  Every step rounds to half once, as upstream's tensor operations do: equal bits. */
#ifndef QM_QUANT_FUSE_H
#define QM_QUANT_FUSE_H

#include "base/mem.h"
#include "model/config.h"

typedef struct qm_fused {
    qm_config config;   /* of the source, but the head is never tied */
    qm_tensor *tensors; /* [n] row-major, f16 but A_log and D, which are f32 as stored */
    size_t n;
    char (*names)[64]; /* state-spaces names */
    qm_arena arena;
} qm_fused;

/* Reads a Mamba-1 checkpoint of f32, f16 or bf16 and fuses it.  cpu: flags of qm_cpu_select; the
 * bits depend neither on it nor on n_threads.  E_FORMAT names a tensor that is missing, misshapen,
 * unknown or not finite in half precision; E_UNSUPPORTED when a dimension has no transform.
 * *fused is owned by the caller; NULL on failure. */
quamba_status qm_fuse(qm_fused **fused, const qm_source *source, uint32_t cpu, int32_t n_threads,
                      quamba_error *err);
void qm_fused_free(qm_fused **fused);

/* A tensor by its state-spaces name, NULL when there is none: a qm_find_tensor with a const
 * qm_fused as its user. */
const qm_tensor *qm_fused_find(const void *fused, const char *name);

/* Bytes of all tensors. */
uint64_t qm_fused_bytes(const qm_fused *fused);

#endif
