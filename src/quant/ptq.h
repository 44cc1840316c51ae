/* Fused half-precision weights and activation scales to the state dict of a W8A8 checkpoint, under
 * upstream's names, shapes and strides: matrices are [in][out] with the input as the fastest index,
 * the outputs padded with zeros to a multiple of 16. */
#ifndef QM_QUANT_PTQ_H
#define QM_QUANT_PTQ_H

#include "model/act_scales.h"
#include "quant/fuse.h"

typedef struct qm_ptq_options {
    bool quantize_embedding, quantize_lm_head;
    int32_t n_threads; /* >= 1; bits do not depend on it */
} qm_ptq_options;

/* The entries in upstream's order; what stays half is borrowed from the fused model. */
typedef struct qm_quantized {
    qm_tensor *tensors; /* [n] */
    size_t n;
    char (*names)[80];
    qm_arena arena;
} qm_quantized;

/* E_FORMAT when a scale that is needed is absent, or when the scales lie so far apart that a factor
 * made of them is no positive finite number; the message names it.  *out is owned by the caller and
 * must not outlive fused; NULL on failure. */
quamba_status qm_quantize_w8a8(qm_quantized **out, const qm_fused *fused,
                               const qm_act_scales *scales, const qm_ptq_options *options,
                               quamba_error *err);
/* An entry by its name, NULL when there is none: a qm_find_tensor with a const qm_quantized as its
 * user. */
const qm_tensor *qm_quantized_find(const void *quantized, const char *name);
void qm_quantized_free(qm_quantized **quantized);

#endif
