/* src/kernels/avxvnni with vpdpbusd in AVX-512's encoding, for processors that have only that. */
#include "twins.h"

#if QM_ARCH_X86_64
#define qm_matvec_i8_avxvnni qm_matvec_i8_avxvnni_twin
#define qm_matmul_i8_avxvnni qm_matmul_i8_avxvnni_twin
#define qm_linear_i8_codes_avxvnni qm_linear_i8_codes_avxvnni_twin
#define qm_linear_i8_f16_avxvnni qm_linear_i8_f16_avxvnni_twin
#define qm_linear_i8_f32_avxvnni qm_linear_i8_f32_avxvnni_twin

#include "kernels/avxvnni/matmul_i8.c"

#include "kernels/avxvnni/linear_i8.c"
#endif
