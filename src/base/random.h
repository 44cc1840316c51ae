/* splitmix64 (Steele, Lea, Flood): a stream of 64-bit numbers from any seed, the same everywhere.
 */
#ifndef QM_BASE_RANDOM_H
#define QM_BASE_RANDOM_H

#include <stdint.h>

/* The next number; *state starts as the seed. */
static inline uint64_t qm_splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
