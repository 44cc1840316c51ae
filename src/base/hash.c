#include "base/hash.h"

static const uint64_t prime = 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio, odd */

static uint64_t load(const unsigned char *bytes, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)bytes[i] << (8 * i);
    return word;
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * prime;
    return lane << 31 | lane >> 33;
}

uint64_t qm_hash64(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *at = data;
    uint64_t lane[4] = {seed ^ 1, seed ^ 2, seed ^ 3, seed ^ 4};
    size_t left = size;
    for (; left >= 32; left -= 32, at += 32)
        for (size_t i = 0; i < 4; i++)
            lane[i] = mix(lane[i], load(at + 8 * i, 8));
    for (size_t i = 0; left > 0; i++) {
        size_t n = left < 8 ? left : 8;
        lane[i] = mix(lane[i], load(at, n));
        left -= n;
        at += n;
    }
    uint64_t hash = (uint64_t)size * prime;
    for (size_t i = 0; i < 4; i++)
        hash = mix(hash, lane[i]);
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}
