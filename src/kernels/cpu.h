/* What the processor can do.  Flags are cumulative sets, so that "satisfies" is a mask test. */
#ifndef QM_KERNELS_CPU_H
#define QM_KERNELS_CPU_H

#include <stdint.h>

#if defined(__x86_64__)
#define QM_ARCH_X86_64 1
#else
#define QM_ARCH_X86_64 0
#endif
#if defined(__aarch64__)
#define QM_ARCH_AARCH64 1
#else
#define QM_ARCH_AARCH64 0
#endif

enum {
    QM_CPU_SCALAR = 0,
    QM_CPU_AVX2 = 1 << 0,       /* AVX2, FMA, F16C */
    QM_CPU_AVXVNNI = 1 << 1,    /* and AVX-VNNI: vpdpbusd of 256 bits without AVX-512 */
    QM_CPU_AVX512VNNI = 1 << 2, /* AVX2 and AVX-512 F, BW, DQ, VL and VNNI */
    QM_CPU_AMX = 1 << 3,        /* all of AVX512VNNI and AMX-TILE, AMX-INT8 */
    QM_CPU_NEON = 1 << 4,       /* every AArch64 */
    QM_CPU_NEONDOT = 1 << 5     /* and its INT8 dot products */
};

/* X(flags, name on the command line), weakest first */
#define QM_ISA_LIST(X)                                                                             \
    X(SCALAR, "scalar")                                                                            \
    X(AVX2, "avx2")                                                                                \
    X(AVXVNNI, "avxvnni")                                                                          \
    X(AVX512VNNI, "avx512vnni")                                                                    \
    X(AMX, "amx")                                                                                  \
    X(NEON, "neon")                                                                                \
    X(NEONDOT, "neondot")

/* Flags of this processor, as far as the operating system saves the registers.  Where there are AMX
 * tiles this asks Linux for the right to use them; refused, the processor counts as without. */
uint32_t qm_cpu_detect(void);

/* Flags for a --cpu name: those of this processor for "native" (or NULL), else the processor's
 * flags up to and including the named set.  -1: no such name; -2: this processor lacks it. */
int64_t qm_cpu_select(const char *name);

/* "scalar, avx2, neon, native": every name there is, for messages. */
const char *qm_cpu_names(void);

#endif
