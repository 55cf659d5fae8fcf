/* Stirs the bits of a number: each of the result depends on all of them (the finaliser of
 * SplitMix64; Steele, Lea, Flood 2014). */
#pragma once

#include <stdint.h>

static inline uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A number in [0, 1) of its upper bits. */
static inline double mix_share(uint64_t x)
{
    return (double)(x >> 11) * 0x1p-53;
}
