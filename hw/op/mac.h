/* Multiply-accumulate.  On codes it is exact and the order of the terms is free, up to 2^16 terms;
 * in FP32 it is one fused step, and op/lanes.h has the order. */
#ifndef QM_OP_MAC_H
#define QM_OP_MAC_H

#include <math.h>
#include <stdint.h>

static inline int32_t qm_op_mac_i8(int32_t acc, int8_t w, int8_t x) { return acc + (int32_t)w * x; }

static inline float qm_op_mac_f32(float acc, float w, float x) { return fmaf(w, x, acc); }

#endif
