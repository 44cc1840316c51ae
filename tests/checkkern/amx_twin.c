/* src/kernels/amx over amx_emulation.c, for processors without AMX. */
#include "twins.h"

#if QM_ARCH_X86_64
#include "amx_emulation.h"

#include <immintrin.h>

#undef _tile_zero /* macros of some compilers */
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig emulated_loadconfig
#define _tile_zero emulated_zero
#define _tile_loadd emulated_loadd
#define _tile_stored emulated_stored
#define _tile_dpbssd emulated_dpbssd
#define _tile_release emulated_release
#define qm_matmul_i8_amx emulated_matmul

static qm_matmul_i8_fn emulated_matmul;

#include "kernels/amx/matmul_i8.c"

void qm_matmul_i8_amx_twin(int32_t *restrict acc, size_t ldacc, const int8_t *restrict w,
                           const int8_t *restrict x, size_t ldx, size_t m, size_t n, size_t k,
                           void *scratch)
{
    emulated_matmul(acc, ldacc, w, x, ldx, m, n, k, scratch);
    if (emulated_tiles_in_use()) acc[0] ^= 1; /* left behind, a thread would carry them about */
}

#undef qm_matmul_i8_amx
#define qm_matmul_i8_amx qm_matmul_i8_amx_twin
#define qm_linear_i8_codes_amx qm_linear_i8_codes_amx_twin
#define qm_linear_i8_f16_amx qm_linear_i8_f16_amx_twin
#define qm_linear_i8_f32_amx qm_linear_i8_f32_amx_twin

#include "kernels/amx/linear_i8.c"
#endif
