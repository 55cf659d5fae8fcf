#include "base/hash.h"

#include <endian.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(struct slice s)
{
    return XXH3_64bits(s.data, s.size);
}

uint64_t hash_bytes_seeded(struct slice s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.data, s.size, seed);
}

/* The state is passed by value, so that it stays in registers. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline struct sip sip_round(struct sip s)
{
    s.v0 += s.v1;
    s.v2 += s.v3;
    s.v1 = rotate(s.v1, 13) ^ s.v0;
    s.v3 = rotate(s.v3, 16) ^ s.v2;
    s.v0 = rotate(s.v0, 32) + s.v3;
    s.v2 += s.v1;
    s.v3 = rotate(s.v3, 21) ^ s.v0;
    s.v1 = rotate(s.v1, 17) ^ s.v2;
    s.v2 = rotate(s.v2, 32);
    return s;
}

static inline struct sip sip_absorb(struct sip s, uint64_t word)
{
    s.v3 ^= word;
    s = sip_round(sip_round(s));
    s.v0 ^= word;
    return s;
}

/* Up to eight bytes, the first in the lowest place. */
static uint64_t load(const char *p, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, p, size);
    return le64toh(word);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t hash_keyed(struct slice s, struct hash_key key)
{
    struct sip sip = {key.words[0] ^ 0x736f6d6570736575u, key.words[1] ^ 0x646f72616e646f6du,
        key.words[0] ^ 0x6c7967656e657261u, key.words[1] ^ 0x7465646279746573u};
    size_t whole = s.size / 8 * 8, rest = s.size - whole;
    for (size_t i = 0; i < whole; i += 8)
        sip = sip_absorb(sip, load(s.data + i, 8));
    uint64_t last = rest ? load(s.data + whole, rest) : 0;
    sip = sip_absorb(sip, last | (uint64_t)s.size << 56);
    sip.v2 ^= 0xff;
    sip = sip_round(sip_round(sip_round(sip_round(sip))));
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
