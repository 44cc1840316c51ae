#include "kernels/kernels.h"

qm_kernels qm_kernels_select(uint32_t cpu)
{
    qm_kernels k = {.cpu = cpu};
#define QM_KERNEL(op, isa, function)                                                               \
    if ((cpu & QM_CPU_##isa) == QM_CPU_##isa) k.op = function;
#include "kernels/kernels.def"
#undef QM_KERNEL
    return k;
}
