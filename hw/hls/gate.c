#include "op/gate.h"
#include "base/half.h"
#include "hls/hls.h"
#include "op/dequantize.h"
#include "op/hadamard.h"
#include "op/quantize.h"

void qm_hls_gate(float y[QM_HW_D_INNER], const int8_t z[QM_HW_D_INNER], float z_scale)
{
    for (size_t i = 0; i < QM_HW_D_INNER; i++)
        y[i] = qm_round_f16(qm_op_gate(y[i], qm_op_dequantize(z_scale, z[i])));
}

void qm_hls_gate_decode(float y[QM_HW_D_INNER], const int8_t z[QM_HW_D_INNER], float z_scale)
{
    for (size_t i = 0; i < QM_HW_D_INNER; i++)
        y[i] = qm_round_f16(qm_op_gate_sigmoid(y[i], qm_op_dequantize(z_scale, z[i])));
}

size_t qm_hls_hadamard(int8_t rotated[QM_HW_D_INNER], const float y[QM_HW_D_INNER],
                       const int8_t signs[QM_HW_HADAMARD_M][QM_HW_HADAMARD_M], float factor)
{
    float x[QM_HW_D_INNER];
    size_t lost = 0;
    for (size_t i = 0; i < QM_HW_D_INNER; i++)
        x[i] = y[i];
    for (size_t stride = 1; stride < QM_HW_HADAMARD_WIDTH; stride *= 2)
        for (size_t i = 0; i < QM_HW_D_INNER / 2; i++) { /* all butterflies of a stride */
            const size_t first = i / stride * 2 * stride + i % stride;
            qm_op_butterfly(&x[first], &x[first + stride]);
        }
    for (size_t row = 0; row < QM_HW_HADAMARD_M; row++)
        for (size_t r = 0; r < QM_HW_HADAMARD_WIDTH; r++) {
            float sum = QM_HW_HADAMARD_M == 1 ? x[r] : 0.0f;
            for (size_t c = 0; QM_HW_HADAMARD_M > 1 && c < QM_HW_HADAMARD_M; c++)
                sum = qm_op_add_signed(sum, x[c * QM_HW_HADAMARD_WIDTH + r], signs[row][c]);
            rotated[row * QM_HW_HADAMARD_WIDTH + r] =
                qm_op_quantize_away(sum * factor, 1.0f, &lost);
        }
    return lost;
}
