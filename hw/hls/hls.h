/* One token through one layer of row 0 (INT8 from operator to operator), a function for each
 * operator, in the order of the data: what high-level synthesis takes as top functions.  No
 * pointers but arrays of fixed size, no allocation, every loop bound a constant (hls/shape.h); the
 * arithmetic is op/, the very functions of the runtime's scalar kernels.  tests/unit/test_hls
 * compares every edge with the runtime's.
 *
 * Matrices are [out][in], row-major, as the checkpoint holds them.  Scales are the checkpoint's
 * (docs/numerics.md section 7).  Functions that form codes return how many saturated. */
#ifndef QM_HLS_HLS_H
#define QM_HLS_HLS_H

#include "hls/shape.h"

#include <stddef.h>
#include <stdint.h>

/* RMS norm and codes at in_scale. */
size_t qm_hls_norm(int8_t norm[QM_HW_D_MODEL], const float residual[QM_HW_D_MODEL],
                   const float weight[QM_HW_D_MODEL], float eps, float in_scale);

/* x, then z: code(b * (a * acc)). */
size_t qm_hls_in_proj(int8_t xz[2 * QM_HW_D_INNER], const int8_t norm[QM_HW_D_MODEL],
                      const int8_t w[2 * QM_HW_D_INNER][QM_HW_D_MODEL], float a, float b);

/* Causal convolution, SiLU, codes at u_scale with ties away from zero.  past: the inputs of the
 * tokens before, oldest first, all 0 before the first; x moves in.  w: the oldest tap first. */
size_t qm_hls_conv(int8_t u[QM_HW_D_INNER], int8_t past[QM_HW_D_CONV - 1][QM_HW_D_INNER],
                   const int8_t x[QM_HW_D_INNER], const int8_t w[QM_HW_D_CONV][QM_HW_D_INNER],
                   float scale, const float bias[QM_HW_D_INNER], float u_scale);

/* dt_low, B, C: code(a * (b * acc)). */
size_t qm_hls_x_proj(int8_t x_dbl[QM_HW_X_DBL], const int8_t u[QM_HW_D_INNER],
                     const int8_t w[QM_HW_X_DBL][QM_HW_D_INNER], float a, float b);

/* code(b * (a * acc)), before bias and softplus; reads dt_low. */
size_t qm_hls_dt_proj(int8_t dt[QM_HW_D_INNER], const int8_t x_dbl[QM_HW_X_DBL],
                      const int8_t w[QM_HW_D_INNER][QM_HW_DT_RANK], float a, float b);

/* delta = softplus(dt_scale * dt + bias): of a prefill, of a decode step. */
void qm_hls_time_step(float delta[QM_HW_D_INNER], const int8_t dt[QM_HW_D_INNER], float dt_scale,
                      const float bias[QM_HW_D_INNER]);
void qm_hls_time_step_decode(float delta[QM_HW_D_INNER], const int8_t dt[QM_HW_D_INNER],
                             float dt_scale, const float bias[QM_HW_D_INNER]);

/* Numbers that the scan shares over a layer. */
typedef struct qm_hls_scan_scales {
    float u, b, c; /* of the codes it reads */
    float h;       /* of the state between decode steps */
} qm_hls_scan_scales;

/* The scan of a prefill: FP32 state. */
void qm_hls_scan(float y[QM_HW_D_INNER], float h[QM_HW_D_STATE][QM_HW_D_INNER],
                 const int8_t u[QM_HW_D_INNER], const float delta[QM_HW_D_INNER],
                 const int8_t x_dbl[QM_HW_X_DBL], const float a[QM_HW_D_STATE][QM_HW_D_INNER],
                 const float d[QM_HW_D_INNER], const qm_hls_scan_scales *scales);

/* The state as a decode step finds it after a prefill: codes, ties away from zero. */
size_t qm_hls_hand_over(int8_t h[QM_HW_D_STATE][QM_HW_D_INNER],
                        const float state[QM_HW_D_STATE][QM_HW_D_INNER], float h_scale);

/* The scan of a decode step: the state in codes, formed anew as 100 h / 100 s, ties to even. */
size_t qm_hls_scan_decode(float y[QM_HW_D_INNER], int8_t h[QM_HW_D_STATE][QM_HW_D_INNER],
                          const int8_t u[QM_HW_D_INNER], const float delta[QM_HW_D_INNER],
                          const int8_t x_dbl[QM_HW_X_DBL],
                          const float a[QM_HW_D_STATE][QM_HW_D_INNER], const float d[QM_HW_D_INNER],
                          const qm_hls_scan_scales *scales);

/* y = half(y gated by z), of a prefill, of a decode step; z: codes at z_scale. */
void qm_hls_gate(float y[QM_HW_D_INNER], const int8_t z[QM_HW_D_INNER], float z_scale);
void qm_hls_gate_decode(float y[QM_HW_D_INNER], const int8_t z[QM_HW_D_INNER], float z_scale);

/* y rotated and times factor, fl((1 / sqrt(d_inner)) / s_o), as codes with ties away from zero.
 * signs: of the blocks, 1 and -1; not read where HADAMARD_M is 1. */
size_t qm_hls_hadamard(int8_t rotated[QM_HW_D_INNER], const float y[QM_HW_D_INNER],
                       const int8_t signs[QM_HW_HADAMARD_M][QM_HW_HADAMARD_M], float factor);

/* half(a * (b * acc)) */
void qm_hls_out_proj(float hidden[QM_HW_D_MODEL], const int8_t rotated[QM_HW_D_INNER],
                     const int8_t w[QM_HW_D_MODEL][QM_HW_D_INNER], float a, float b);

/* residual += hidden */
void qm_hls_residual(float residual[QM_HW_D_MODEL], const float hidden[QM_HW_D_MODEL]);

#endif
