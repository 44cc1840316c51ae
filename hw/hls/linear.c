#include "hls/hls.h"
#include "op/mac.h"
#include "op/requantize.h"
#include "op/rescale.h"

/* k is a constant at every call. */
static inline int32_t sum_of_products(const int8_t *w, const int8_t *x, size_t k)
{
    int32_t acc = 0;
    for (size_t i = 0; i < k; i++)
        acc = qm_op_mac_i8(acc, w[i], x[i]);
    return acc;
}

size_t qm_hls_in_proj(int8_t xz[2 * QM_HW_D_INNER], const int8_t norm[QM_HW_D_MODEL],
                      const int8_t w[2 * QM_HW_D_INNER][QM_HW_D_MODEL], float a, float b)
{
    size_t lost = 0;
    for (size_t j = 0; j < 2 * QM_HW_D_INNER; j++)
        xz[j] = qm_op_requantize(sum_of_products(w[j], norm, QM_HW_D_MODEL), a, b, &lost);
    return lost;
}

size_t qm_hls_x_proj(int8_t x_dbl[QM_HW_X_DBL], const int8_t u[QM_HW_D_INNER],
                     const int8_t w[QM_HW_X_DBL][QM_HW_D_INNER], float a, float b)
{
    size_t lost = 0;
    for (size_t j = 0; j < QM_HW_X_DBL; j++)
        x_dbl[j] = qm_op_requantize(sum_of_products(w[j], u, QM_HW_D_INNER), b, a, &lost);
    return lost;
}

size_t qm_hls_dt_proj(int8_t dt[QM_HW_D_INNER], const int8_t x_dbl[QM_HW_X_DBL],
                      const int8_t w[QM_HW_D_INNER][QM_HW_DT_RANK], float a, float b)
{
    size_t lost = 0;
    for (size_t j = 0; j < QM_HW_D_INNER; j++)
        dt[j] = qm_op_requantize(sum_of_products(w[j], x_dbl, QM_HW_DT_RANK), a, b, &lost);
    return lost;
}

void qm_hls_out_proj(float hidden[QM_HW_D_MODEL], const int8_t rotated[QM_HW_D_INNER],
                     const int8_t w[QM_HW_D_MODEL][QM_HW_D_INNER], float a, float b)
{
    for (size_t j = 0; j < QM_HW_D_MODEL; j++)
        hidden[j] = qm_op_rescale_f16(sum_of_products(w[j], rotated, QM_HW_D_INNER), b, a);
}
