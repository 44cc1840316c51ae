#include <arm_neon.h>

#define ADD_PRODUCTS(sum, w, x, g) vdotq_laneq_s32(sum, w, x, g) /* exact */

#include "kernels/neon/products.h"

QM_MATVEC_I8(qm_matvec_i8_neondot, tile, qm_start_at_zero, PANELS)
QM_MATMUL_I8(qm_matmul_i8_neondot, tile, qm_start_at_zero, ROWS, 1)
