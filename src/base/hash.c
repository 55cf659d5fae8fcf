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

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
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
    uint64_t v[4] = {key.words[0] ^ 0x736f6d6570736575u, key.words[1] ^ 0x646f72616e646f6du,
        key.words[0] ^ 0x6c7967656e657261u, key.words[1] ^ 0x7465646279746573u};
    size_t whole = s.size / 8 * 8;
    for (size_t i = 0; i < whole; i += 8)
        sip_absorb(v, load(s.data + i, 8));
    uint64_t rest = s.size - whole ? load(s.data + whole, s.size - whole) : 0;
    sip_absorb(v, rest | (uint64_t)s.size << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
