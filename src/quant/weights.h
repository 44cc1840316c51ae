/* The 8-bit weight quantizers, symmetric, one scale for a whole tensor or a row.  They mirror what
 * upstream does on a GPU, roundings included: a division by a Python number is a multiplication by
 * its float reciprocal, and every operation on half tensors rounds to half. */
#ifndef QM_QUANT_WEIGHTS_H
#define QM_QUANT_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

/* Largest magnitude of w[n], finite halves. */
float qm_absmax_f16(const uint16_t *w, size_t n);

/* Half tensors.  The scale, a half, is fl16(max(absmax, fl16(1e-5)) / 127); the codes are
 * rne(fl16(w / scale)), saturated.  w[n] and q[n] may be a part of the tensor. */
float qm_weight_scale_f16(float absmax);
void qm_weight_codes_f16(int8_t *q, const uint16_t *w, size_t n, float scale);

/* Float tensors of n elements: scale = max(absmax, 1e-5) / 127, codes rne(w / scale).  Returns the
 * scale. */
float qm_quantize_weight_f32(int8_t *q, const float *w, size_t n);

/* A row of the embedding: as a half tensor, but by its signed maximum and without a lower bound, as
 * upstream has it; what lies below -128 steps saturates.  Where that is no positive scale (no
 * element is above 0), the row is quantized as a half tensor.  Returns the scale as a half. */
uint16_t qm_quantize_embedding_row(int8_t *q, const uint16_t *w, size_t n);

#endif
