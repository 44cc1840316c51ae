#include "kernels/linear_i8.h"

QM_LINEAR_I8(, amx, qm_matmul_i8_amx, qm_requantize_i8_avx512vnni, qm_rescale_f16_avx2)
