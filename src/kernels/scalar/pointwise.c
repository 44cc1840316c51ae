#include "base/fmath.h"
#include "kernels/scalar/lanes.h"

void qm_rms_norm_f32_scalar(float *restrict y, const float *restrict x,
                            const float *restrict weight, float eps, size_t n)
{
    float mean = qm_dot_f32_scalar(x, x, n) / (float)n;
    float r = 1.0f / sqrtf(mean + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * weight[i];
}

void qm_conv_f32_scalar(float *restrict y, const float *const *taps, const float *restrict w,
                        size_t ldw, const float *restrict bias, size_t n, size_t width)
{
    for (size_t c = 0; c < n; c++) {
        float acc = bias[c];
        for (size_t k = 0; k < width; k++)
            acc = fmaf(w[k * ldw + c], taps[k][c], acc);
        y[c] = acc;
    }
}

void qm_silu_f32_scalar(float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_siluf(y[i]);
}

void qm_softplus_f32_scalar(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_softplusf(bias ? y[i] + bias[i] : y[i]);
}

void qm_softplus_log_f32_scalar(float *restrict y, const float *restrict bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_softplus_logf(bias ? y[i] + bias[i] : y[i]);
}

void qm_gate_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (y[i] * z[i]) / (1.0f + qm_expf(-z[i]));
}

void qm_gate_ref_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] * (z[i] / (1.0f + qm_expf(-z[i])));
}

void qm_gate_sigmoid_f32_scalar(float *restrict y, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] * (z[i] * (1.0f / (1.0f + qm_expf(-z[i]))));
}

float qm_sum_exp_f32_scalar(const float *x, float max, size_t n)
{
    float lane[QM_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % QM_LANES] += qm_expf(x[i] - max);
    return qm_halve_lanes(lane);
}
