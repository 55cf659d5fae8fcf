/* Hashes of a request's key, to choose from: those that other balancers use, so that the same key
 * means the same number everywhere, and one for keys that clients may choose to do harm. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum key_hash { HASH_XXHASH, HASH_SIPHASH, HASH_MURMUR3, HASH_MD5, HASH_SHA1 };

/* Their names in that order, ends with NULL. */
extern const char *const key_hash_names[];

/* xxHash is XXH64; SipHash is SipHash-2-4; Murmur3 is MurmurHash3_x64_128, its first half; of MD5
 * and SHA-1 it is the first eight bytes, the first the lowest. `seed` makes it another function; of
 * MD5 and SHA-1 it is put before the key when it is not 0. Never 0. */
uint64_t key_hash(enum key_hash kind, struct slice key, uint64_t seed);

/* MurmurHash3_x64_128 (Appleby, public domain). */
void key_hash_murmur3(struct slice key, uint32_t seed, uint64_t ret_halves[2]);
