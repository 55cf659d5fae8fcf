#include "balance/key_hash.h"

#include "base/hash.h"

#include <endian.h>
#include <openssl/evp.h>
#include <xxhash.h>

const char *const key_hash_names[] = {[HASH_XXHASH] = "xxhash",
    [HASH_SIPHASH] = "siphash",
    [HASH_MURMUR3] = "murmur3",
    [HASH_MD5] = "md5",
    [HASH_SHA1] = "sha1",
    NULL};

/* --- Murmur3 */

#define C1 0x87c37b91114253d5u
#define C2 0x4cf5ad432745937fu

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static uint64_t word_at(const char *p, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, p, size);
    return le64toh(word);
}

static uint64_t stir_low(uint64_t word)
{
    return rotate(word * C1, 31) * C2;
}

static uint64_t stir_high(uint64_t word)
{
    return rotate(word * C2, 33) * C1;
}

static uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

void key_hash_murmur3(struct slice key, uint32_t seed, uint64_t ret_halves[2])
{
    uint64_t low = seed, high = seed;
    size_t whole = key.size / 16 * 16, rest = key.size - whole;
    for (size_t i = 0; i < whole; i += 16) {
        low = rotate(low ^ stir_low(word_at(key.data + i, 8)), 27) + high;
        low = low * 5 + 0x52dce729;
        high = rotate(high ^ stir_high(word_at(key.data + i + 8, 8)), 31) + low;
        high = high * 5 + 0x38495ab5;
    }
    if (rest > 8)
        high ^= stir_high(word_at(key.data + whole + 8, rest - 8));
    if (rest > 0)
        low ^= stir_low(word_at(key.data + whole, rest > 8 ? 8 : rest));
    low ^= key.size;
    high ^= key.size;
    low += high;
    high += low;
    low = finish(low);
    high = finish(high);
    ret_halves[0] = low + high;
    ret_halves[1] = high + ret_halves[0];
}

/* --- digests */

static uint64_t digest(const EVP_MD *kind, struct slice key, uint64_t seed)
{
    unsigned char result[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint64_t salt = htole64(seed);
    if (context && EVP_DigestInit_ex(context, kind, NULL) == 1) {
        if (seed)
            EVP_DigestUpdate(context, &salt, sizeof salt);
        EVP_DigestUpdate(context, key.data, key.size);
        EVP_DigestFinal_ex(context, result, NULL);
    }
    EVP_MD_CTX_free(context);
    return word_at((const char *)result, 8);
}

static uint64_t hash_by(enum key_hash kind, struct slice key, uint64_t seed)
{
    uint64_t halves[2];
    switch (kind) {
    case HASH_SIPHASH:
        return hash_keyed(key, (struct hash_key){{seed, 0}});
    case HASH_MURMUR3:
        key_hash_murmur3(key, (uint32_t)seed, halves);
        return halves[0];
    case HASH_MD5:
        return digest(EVP_md5(), key, seed);
    case HASH_SHA1:
        return digest(EVP_sha1(), key, seed);
    case HASH_XXHASH:
        break;
    }
    return XXH64(key.data, key.size, seed);
}

uint64_t key_hash(enum key_hash kind, struct slice key, uint64_t seed)
{
    uint64_t hash = hash_by(kind, key, seed);
    return hash ? hash : 1;
}
