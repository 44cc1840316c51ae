#include "base/dtype.h"

#include <string.h>

static const struct {
    size_t size;
    const char *stored, *shown;
} table[QM_N_DTYPES] = {
/* clang-format off */
#define QM_ROW(id, size, stored, shown) [id] = {size, stored, shown},
    QM_DTYPE_LIST(QM_ROW)
#undef QM_ROW
    /* clang-format on */
};

size_t qm_dtype_size(qm_dtype dtype) { return table[dtype].size; }

const char *qm_dtype_name(qm_dtype dtype) { return table[dtype].shown; }

const char *qm_dtype_stored(qm_dtype dtype) { return table[dtype].stored; }

qm_dtype qm_dtype_find(const char *stored)
{
    int i = 0;
    while (i < QM_N_DTYPES && strcmp(table[i].stored, stored) != 0)
        i++;
    return (qm_dtype)i;
}
