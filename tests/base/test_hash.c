#include "base/hash.h"

#include <openssl/evp.h>

#include "support/unit.h"

/* The published vectors: key 00 01 … 0f, input 00 01 … */
static void siphash_gives_the_published_values(void **state)
{
    (void)state;
    const struct hash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
    static const uint64_t expected[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
        0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce,
        0xab0200f58b01d137, 0x93f5f5799a932462};
    char input[16];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (char)i;
    for (size_t size = 0; size < sizeof expected / sizeof *expected; size++)
        assert_int_equal(hash_keyed(slice_of(input, size), key), expected[size]);
    assert_int_equal(hash_keyed(slice_of(input, 15), key), 0xa129ca6149be45e5);
}

static uint64_t reference(EVP_MAC_CTX *mac, struct slice s, struct hash_key key)
{
    unsigned char out[8];
    uint64_t value = 0;
    size_t size;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint("size", &(unsigned){sizeof out}), OSSL_PARAM_construct_end()};
    assert_true(EVP_MAC_init(mac, (const unsigned char *)&key, sizeof key, params));
    assert_true(EVP_MAC_update(mac, (const unsigned char *)s.data, s.size));
    assert_true(EVP_MAC_final(mac, out, &size, sizeof out));
    for (size_t i = 0; i < sizeof out; i++)
        value |= (uint64_t)out[i] << (8 * i);
    return value;
}

static void siphash_agrees_with_openssl(void **state)
{
    (void)state;
    struct hash_key key = {{0x123456789abcdef0, 0xfedcba9876543210}};
    char input[300];
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(algorithm);
    assert_non_null(mac);
    for (size_t size = 0; size < sizeof input; size++) {
        input[size] = (char)(size * 37);
        struct slice s = slice_of(input + size % 3, size - size % 3);
        assert_int_equal(hash_keyed(s, key), reference(mac, s, key));
    }
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(algorithm);
}

static void seeds_and_bytes_change_the_hash(void **state)
{
    (void)state;
    assert_int_equal(hash_bytes(SLICE("")), 0x2d06800538d394c2); /* XXH3's published value */
    assert_int_equal(hash_bytes(SLICE_NONE), hash_bytes(SLICE("")));
    assert_int_not_equal(hash_bytes(SLICE("a")), hash_bytes(SLICE("b")));
    assert_int_equal(hash_bytes(SLICE("a")), hash_bytes_seeded(SLICE("a"), 0));
    assert_int_not_equal(hash_bytes_seeded(SLICE("a"), 1), hash_bytes_seeded(SLICE("a"), 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_gives_the_published_values),
        cmocka_unit_test(siphash_agrees_with_openssl),
        cmocka_unit_test(seeds_and_bytes_change_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
