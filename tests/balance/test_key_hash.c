/* Hashes against what their authors publish. */
#include "balance/key_hash.h"

#include "support/unit.h"

/* SMHasher's way: the hash of the hashes of 0, 01, 012 … with falling seeds. */
static void test_murmur3(void **state)
{
    (void)state;
    unsigned char key[256], hashes[256 * 16];
    uint64_t halves[2];
    for (unsigned i = 0; i < 256; i++) {
        key[i] = (unsigned char)i;
        key_hash_murmur3(slice_of((const char *)key, i), 256 - i, halves);
        memcpy(hashes + 16 * i, halves, 16);
    }
    key_hash_murmur3(slice_of((const char *)hashes, sizeof hashes), 0, halves);
    assert_int_equal((uint32_t)halves[0], 0x6384ba69);
    key_hash_murmur3(SLICE(""), 0, halves);
    assert_int_equal(halves[0], 0);
}

static void test_others(void **state)
{
    (void)state;
    /* XXH64 of nothing; MD5 and SHA-1 of "abc" begin 900150983cd24fb0 and a9993e364706816a. */
    assert_int_equal(key_hash(HASH_XXHASH, SLICE(""), 0), 0xef46db3751d8e999u);
    assert_int_equal(key_hash(HASH_MD5, SLICE("abc"), 0), 0xb04fd23c98500190u);
    assert_int_equal(key_hash(HASH_SHA1, SLICE("abc"), 0), 0x6a810647363e99a9u);
}

static void test_seeds_and_lengths(void **state)
{
    (void)state;
    char text[64];
    memset(text, 'x', sizeof text);
    for (int kind = HASH_XXHASH; kind <= HASH_SHA1; kind++) {
        uint64_t before = 0;
        for (size_t size = 1; size <= sizeof text; size++) {
            uint64_t hash = key_hash((enum key_hash)kind, slice_of(text, size), 0);
            assert_true(hash != before);
            assert_true(hash != key_hash((enum key_hash)kind, slice_of(text, size), 1));
            before = hash;
        }
        assert_non_null(key_hash_names[kind]);
    }
    assert_null(key_hash_names[HASH_SHA1 + 1]);
    assert_true(key_hash(HASH_MURMUR3, SLICE(""), 0) != 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_murmur3),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_seeds_and_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
