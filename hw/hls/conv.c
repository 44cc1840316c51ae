#include "hls/hls.h"
#include "op/affine.h"
#include "op/mac.h"
#include "op/quantize.h"
#include "op/silu.h"

size_t qm_hls_conv(int8_t u[QM_HW_D_INNER], int8_t past[QM_HW_D_CONV - 1][QM_HW_D_INNER],
                   const int8_t x[QM_HW_D_INNER], const int8_t w[QM_HW_D_CONV][QM_HW_D_INNER],
                   float scale, const float bias[QM_HW_D_INNER], float u_scale)
{
    size_t lost = 0;
    for (size_t c = 0; c < QM_HW_D_INNER; c++) {
        int32_t acc = 0;
        for (size_t k = 0; k + 1 < QM_HW_D_CONV; k++)
            acc = qm_op_mac_i8(acc, w[k][c], past[k][c]);
        acc = qm_op_mac_i8(acc, w[QM_HW_D_CONV - 1][c], x[c]);
        u[c] = qm_op_quantize_away(qm_op_silu(qm_op_affine(scale, acc, bias[c])), u_scale, &lost);
        for (size_t k = 0; k + 2 < QM_HW_D_CONV; k++)
            past[k][c] = past[k + 1][c];
        past[QM_HW_D_CONV - 2][c] = x[c];
    }
    return lost;
}
