/* The AMX instructions of src/kernels/amx in plain C, after the pseudo code of Intel's manual,
 * faults included (they end checkkern).  amx_twin.c puts them in place of the intrinsics. */
#ifndef CHECKKERN_AMX_EMULATION_H
#define CHECKKERN_AMX_EMULATION_H

#include <stdbool.h>
#include <stddef.h>

void emulated_loadconfig(const void *config);
void emulated_zero(int tile);
void emulated_loadd(int tile, const void *base, size_t stride_bytes);
void emulated_stored(int tile, void *base, size_t stride_bytes);
void emulated_dpbssd(int sums, int a, int b);
void emulated_release(void);

/* Whether a configuration is loaded: none may be left behind. */
bool emulated_tiles_in_use(void);

#endif
