#include "kernels/linear_i8.h"

QM_LINEAR_I8(, avxvnni, qm_matmul_i8_avxvnni, qm_requantize_i8_avx2, qm_rescale_f16_avx2)
