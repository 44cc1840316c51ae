#include "model/model.h"

/* A block of fixed length without a branch inside is something every compiler vectorises. */
enum { BLOCK = 1024 };

/* An exponent of all ones is inf or NaN. */
#define QM_ALL_FINITE(name, type, mask)                                                            \
    static bool name(const type *x, uint64_t n, uint64_t *bad)                                     \
    {                                                                                              \
        for (uint64_t i = 0; i < n; i += BLOCK) {                                                  \
            uint64_t end = n - i < BLOCK ? n : i + BLOCK;                                          \
            type seen = 0;                                                                         \
            if (end - i == BLOCK)                                                                  \
                for (size_t j = 0; j < BLOCK; j++)                                                 \
                    seen |= (type)((x[i + j] & (mask)) == (mask));                                 \
            else                                                                                   \
                seen = 1;                                                                          \
            for (*bad = i; seen && *bad < end; ++*bad)                                             \
                if ((x[*bad] & (mask)) == (mask)) return false;                                    \
        }                                                                                          \
        return true;                                                                               \
    }
QM_ALL_FINITE(all_finite_f32, uint32_t, 0x7f800000u)
QM_ALL_FINITE(all_finite_f16, uint16_t, 0x7c00u)
QM_ALL_FINITE(all_finite_bf16, uint16_t, 0x7f80u)
#undef QM_ALL_FINITE

bool qm_all_finite(const void *data, qm_dtype dtype, uint64_t n, uint64_t *bad)
{
    if (dtype == QM_F32) return all_finite_f32(data, n, bad);
    if (dtype == QM_F16) return all_finite_f16(data, n, bad);
    return dtype == QM_BF16 ? all_finite_bf16(data, n, bad) : true;
}
