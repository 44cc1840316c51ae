/* For register tiles: their loops have constant bounds once inlined, and only unrolled do the sums
 * live in registers. */
#ifndef QM_KERNELS_TILE_H
#define QM_KERNELS_TILE_H

#define QM_UNROLL _Pragma("GCC unroll 8")
#define QM_TILE_INLINE static inline __attribute__((always_inline))

#endif
