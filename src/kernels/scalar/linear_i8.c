#include "kernels/linear_i8.h"

QM_LINEAR_I8(, scalar, qm_matmul_i8_scalar, qm_requantize_i8_scalar, qm_rescale_f16_scalar)
