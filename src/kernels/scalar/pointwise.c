#include "kernels/kernels.h"
#include "op/gate.h"
#include "op/mac.h"
#include "op/rms_norm.h"
#include "op/silu.h"
#include "op/softplus.h"

void qm_rms_norm_f32_scalar(float *restrict y, const float *restrict x,
                            const float *restrict weight, float eps, size_t n)
{
    float r = qm_op_rms_factor(qm_dot_f32_scalar(x, x, n), (float)n, eps);
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_rms_scale(x[i], r, weight[i]);
}

void qm_conv_f32_scalar(float *restrict y, const float *const *taps, const float *restrict w,
                        size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c++) {
        float acc = bias[c];
        for (size_t k = 0; k < width; k++)
            acc = qm_op_mac_f32(acc, w[k * ldw + c], taps[k][c]);
        y[c] = acc;
    }
}

void qm_silu_f32_scalar(float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_silu(y[i]);
}

void qm_softplus_f32_scalar(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_softplus(bias ? y[i] + bias[i] : y[i]);
}

void qm_softplus_log_f32_scalar(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_softplus_log(bias ? y[i] + bias[i] : y[i]);
}

void qm_gate_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_gate(y[i], z[i]);
}

void qm_gate_ref_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_gate_ref(y[i], z[i]);
}

void qm_gate_sigmoid_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_op_gate_sigmoid(y[i], z[i]);
}

float qm_sum_exp_f32_scalar(const float *x, float max, size_t n)
{
    float lane[QM_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % QM_LANES] += qm_expf(x[i] - max);
    return qm_op_halve_lanes(lane);
}
