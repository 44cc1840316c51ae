#include "kernels/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#if QM_ARCH_X86_64
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* __builtin_cpu_supports of clang 14 knows none of the next three. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avxvnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4));
}

/* Tiles are 8 KB more of every thread's state, so Linux saves them for processes that asked only;
 * the right holds for all threads.  That the syscall knows the feature says that it is in XCR0. */
static bool has_amx(void)
{
    enum { AMX_TILE_INT8 = 3 << 24, REQUEST_PERMISSION = 0x1023, XTILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & AMX_TILE_INT8) != AMX_TILE_INT8)
        return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, XTILE_DATA) == 0;
}
#endif

#if QM_ARCH_AARCH64
#include <sys/auxv.h>
#endif

uint32_t qm_cpu_detect(void)
{
    uint32_t flags = QM_CPU_SCALAR;
#if QM_ARCH_X86_64
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
        flags |= QM_CPU_AVX2;
    if ((flags & QM_CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        flags |= QM_CPU_AVX512VNNI;
    if ((flags & QM_CPU_AVX2) && has_avxvnni()) flags |= QM_CPU_AVXVNNI;
    if ((flags & QM_CPU_AVX512VNNI) && has_amx()) flags |= QM_CPU_AMX;
#elif QM_ARCH_AARCH64
    flags |= QM_CPU_NEON;
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) flags |= QM_CPU_NEONDOT;
#endif
    return flags;
}

int64_t qm_cpu_select(const char *name)
{
    static const struct {
        uint32_t flags;
        const char *name;
    } isas[] = {
#define QM_ROW(flags, name) {QM_CPU_##flags, name},
        QM_ISA_LIST(QM_ROW)
#undef QM_ROW
    };
    uint32_t have = qm_cpu_detect();
    if (!name || strcmp(name, "native") == 0) return have;
    uint32_t below = 0; /* everything weaker than the named set stays available */
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        below |= isas[i].flags;
        if (strcmp(name, isas[i].name) != 0) continue;
        return (have & isas[i].flags) == isas[i].flags ? (int64_t)(have & below) : -2;
    }
    return -1;
}

const char *qm_cpu_names(void)
{
#define QM_NAME(flags, name) name ", "
    return QM_ISA_LIST(QM_NAME) "native";
#undef QM_NAME
}
