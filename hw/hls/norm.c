#include "hls/hls.h"
#include "op/lanes.h"
#include "op/mac.h"
#include "op/quantize.h"
#include "op/residual.h"
#include "op/rms_norm.h"

size_t qm_hls_norm(int8_t norm[QM_HW_D_MODEL], const float residual[QM_HW_D_MODEL],
                   const float weight[QM_HW_D_MODEL], float eps, float in_scale)
{
    float lane[QM_LANES] = {0};
    size_t lost = 0;
    for (size_t i = 0; i < QM_HW_D_MODEL; i++)
        lane[i % QM_LANES] = qm_op_mac_f32(lane[i % QM_LANES], residual[i], residual[i]);
    const float factor = qm_op_rms_factor(qm_op_halve_lanes(lane), (float)QM_HW_D_MODEL, eps);
    for (size_t i = 0; i < QM_HW_D_MODEL; i++)
        norm[i] =
            qm_op_quantize_even(qm_op_rms_scale(residual[i], factor, weight[i]), in_scale, &lost);
    return lost;
}

void qm_hls_residual(float residual[QM_HW_D_MODEL], const float hidden[QM_HW_D_MODEL])
{
    for (size_t i = 0; i < QM_HW_D_MODEL; i++)
        residual[i] = qm_op_residual(residual[i], hidden[i]);
}
