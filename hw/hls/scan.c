#include "op/scan.h"
#include "hls/hls.h"
#include "op/affine.h"
#include "op/dequantize.h"
#include "op/quantize.h"
#include "op/softplus.h"

void qm_hls_time_step(float delta[QM_HW_D_INNER], const int8_t dt[QM_HW_D_INNER], float dt_scale,
                      const float bias[QM_HW_D_INNER])
{
    for (size_t c = 0; c < QM_HW_D_INNER; c++)
        delta[c] = qm_op_softplus(qm_op_affine(dt_scale, dt[c], bias[c]));
}

void qm_hls_time_step_decode(float delta[QM_HW_D_INNER], const int8_t dt[QM_HW_D_INNER],
                             float dt_scale, const float bias[QM_HW_D_INNER])
{
    for (size_t c = 0; c < QM_HW_D_INNER; c++)
        delta[c] = qm_op_softplus_log(qm_op_dequantize(dt_scale, dt[c]) + bias[c]);
}

void qm_hls_scan(float y[QM_HW_D_INNER], float h[QM_HW_D_STATE][QM_HW_D_INNER],
                 const int8_t u[QM_HW_D_INNER], const float delta[QM_HW_D_INNER],
                 const int8_t x_dbl[QM_HW_X_DBL], const float a[QM_HW_D_STATE][QM_HW_D_INNER],
                 const float d[QM_HW_D_INNER], const qm_hls_scan_scales *scales)
{
    const int8_t *b = x_dbl + QM_HW_DT_RANK, *c = b + QM_HW_D_STATE;
    for (size_t i = 0; i < QM_HW_D_INNER; i++) {
        const float in = qm_op_dequantize(scales->u, u[i]);
        float out = qm_op_scan_begin(QM_OP_SCAN_FUSED, d[i], in);
        for (size_t s = 0; s < QM_HW_D_STATE; s++)
            out = qm_op_scan_step(QM_OP_SCAN_FUSED, out, &h[s][i], in, delta[i], a[s][i],
                                  qm_op_dequantize(scales->b, b[s]),
                                  qm_op_dequantize(scales->c, c[s]));
        y[i] = qm_op_scan_end(QM_OP_SCAN_FUSED, out, d[i], in);
    }
}

size_t qm_hls_hand_over(int8_t h[QM_HW_D_STATE][QM_HW_D_INNER],
                        const float state[QM_HW_D_STATE][QM_HW_D_INNER], float h_scale)
{
    size_t lost = 0;
    for (size_t s = 0; s < QM_HW_D_STATE; s++)
        for (size_t i = 0; i < QM_HW_D_INNER; i++)
            h[s][i] = qm_op_quantize_away(state[s][i], h_scale, &lost);
    return lost;
}

size_t qm_hls_scan_decode(float y[QM_HW_D_INNER], int8_t h[QM_HW_D_STATE][QM_HW_D_INNER],
                          const int8_t u[QM_HW_D_INNER], const float delta[QM_HW_D_INNER],
                          const int8_t x_dbl[QM_HW_X_DBL],
                          const float a[QM_HW_D_STATE][QM_HW_D_INNER], const float d[QM_HW_D_INNER],
                          const qm_hls_scan_scales *scales)
{
    const int8_t *b = x_dbl + QM_HW_DT_RANK, *c = b + QM_HW_D_STATE;
    size_t lost = 0;
    for (size_t i = 0; i < QM_HW_D_INNER; i++) {
        const float in = qm_op_dequantize(scales->u, u[i]);
        float out = qm_op_scan_begin(QM_OP_SCAN_REF, d[i], in);
        for (size_t s = 0; s < QM_HW_D_STATE; s++) {
            float state = qm_op_dequantize(scales->h, h[s][i]);
            out = qm_op_scan_step(QM_OP_SCAN_REF, out, &state, in, delta[i], a[s][i],
                                  qm_op_dequantize(scales->b, b[s]),
                                  qm_op_dequantize(scales->c, c[s]));
            h[s][i] = qm_op_quantize_even(state * 100.0f, scales->h * 100.0f, &lost);
        }
        y[i] = qm_op_scan_end(QM_OP_SCAN_REF, out, d[i], in);
    }
    return lost;
}
