#include "kernels/linear_i8.h"

QM_LINEAR_I8(, neondot, qm_matmul_i8_neondot, qm_requantize_i8_neon, qm_rescale_f16_neon)
