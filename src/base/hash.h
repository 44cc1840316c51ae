/* A fast 64-bit hash of bytes, to recognise data, not to withstand an adversary.  Little-endian
 * words in four lanes, each multiplied and rotated, the lanes and the length mixed at the end; the
 * same value on every machine. */
#ifndef QM_BASE_HASH_H
#define QM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Chain several pieces by passing the hash of the first as seed of the next. */
uint64_t qm_hash64(const void *data, size_t size, uint64_t seed);

#endif
