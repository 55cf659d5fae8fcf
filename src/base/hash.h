/* Hashes. `hash_bytes` (xxHash, XXH3) is for keys that we choose; `hash_keyed` (SipHash-2-4) for
 * keys that an attacker may choose, with a key drawn at start, so that nobody can make a table
 * degenerate. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

uint64_t hash_bytes(struct slice s);
uint64_t hash_bytes_seeded(struct slice s, uint64_t seed);

struct hash_key {
    uint64_t words[2];
};

uint64_t hash_keyed(struct slice s, struct hash_key key);
