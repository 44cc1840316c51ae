/* For register tiles: their loops have constant bounds once inlined, and only unrolled do the sums
 * live in registers. */
#ifndef QM_KERNELS_TILE_H
#define QM_KERNELS_TILE_H

#if defined(__clang__)
#define QM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define QM_UNROLL _Pragma("GCC unroll 16")
#endif
#define QM_TILE_INLINE static inline __attribute__((always_inline))

#endif
