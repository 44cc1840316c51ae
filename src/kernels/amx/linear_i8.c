#include "kernels/linear_i8.h"

enum { TILES_PAY = 16 }; /* rows of x from which on they are faster than vector registers */

QM_LINEAR_I8(static, tiles, qm_matmul_i8_amx, qm_requantize_i8_avx512vnni, qm_rescale_f16_avx2)

void qm_linear_i8_codes_amx(int8_t *restrict y, size_t *restrict lost, const qm_linear_i8_args *p)
{
    if (p->m < TILES_PAY)
        qm_linear_i8_codes_avx512vnni(y, lost, p);
    else
        qm_linear_i8_codes_tiles(y, lost, p);
}

void qm_linear_i8_f16_amx(float *restrict y, const qm_linear_i8_args *p)
{
    if (p->m < TILES_PAY)
        qm_linear_i8_f16_avx512vnni(y, p);
    else
        qm_linear_i8_f16_tiles(y, p);
}

void qm_linear_i8_f32_amx(float *restrict y, const qm_linear_i8_args *p)
{
    if (p->m < TILES_PAY)
        qm_linear_i8_f32_avx512vnni(y, p);
    else
        qm_linear_i8_f32_tiles(y, p);
}
