#include "base/half.h"
#include "kernels/kernels.h"
#include "op/mac.h"

float qm_dot_f32_scalar(const float *a, const float *b, size_t n)
{
    float lane[QM_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % QM_LANES] = qm_op_mac_f32(lane[i % QM_LANES], a[i], b[i]);
    return qm_op_halve_lanes(lane);
}

void qm_matvec_f32_scalar(float *restrict y, const float *restrict w, const float *restrict x,
                          size_t n, size_t k)
{
    for (size_t j = 0; j < n; j++)
        y[j] = qm_dot_f32_scalar(w + j * k, x, k);
}

/* The half types differ only in how a weight is widened. */
#define QM_MATVEC(name, widen)                                                                     \
    void name(float *restrict y, const uint16_t *restrict w, const float *restrict x, size_t n,    \
              size_t k)                                                                            \
    {                                                                                              \
        for (size_t j = 0; j < n; j++) {                                                           \
            float lane[QM_LANES] = {0};                                                            \
            for (size_t i = 0; i < k; i++)                                                         \
                lane[i % QM_LANES] = qm_op_mac_f32(lane[i % QM_LANES], widen(w[j * k + i]), x[i]); \
            y[j] = qm_op_halve_lanes(lane);                                                        \
        }                                                                                          \
    }
QM_MATVEC(qm_matvec_f16_scalar, qm_f32_f16)
QM_MATVEC(qm_matvec_bf16_scalar, qm_f32_bf16)
#undef QM_MATVEC

void qm_matmul_f32_scalar(float *restrict y, size_t ldy, const float *restrict w,
                          const float *restrict x, size_t ldx, size_t m, size_t n, size_t k)
{
    for (size_t i = 0; i < m; i++)
        qm_matvec_f32_scalar(y + i * ldy, w, x + i * ldx, n, k);
}

void qm_widen_f16_scalar(float *restrict y, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_f32_f16(x[i]);
}

void qm_widen_bf16_scalar(float *restrict y, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_f32_bf16(x[i]);
}

void qm_round_f16_scalar(float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = qm_round_f16(y[i]);
}
