#include "kernels/linear_i8.h"

QM_LINEAR_I8(, neon, qm_matmul_i8_neon, qm_requantize_i8_neon, qm_rescale_f16_neon)
