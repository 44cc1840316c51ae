/* A code to the number it stands for. */
#ifndef QM_OP_DEQUANTIZE_H
#define QM_OP_DEQUANTIZE_H

#include <stdint.h>

static inline float qm_op_dequantize(float scale, int8_t q) { return scale * (float)q; }

#endif
