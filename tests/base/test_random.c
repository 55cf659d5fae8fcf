#include "base/random.h"

#include <stdlib.h>

#include "base/clock.h"
#include "support/unit.h"

static void the_kernel_fills_all_bytes(void **state)
{
    (void)state;
    unsigned char bytes[1000] = {0};
    bool is_set[1000] = {false};
    for (int round = 0; round < 20; round++) {
        random_bytes(bytes, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            is_set[i] |= bytes[i] != 0;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_true(is_set[i]);
    random_bytes(NULL, 0);
}

/* From the reference's seed 1, 2, 3, 4. */
static void the_sequence_is_the_published_one(void **state)
{
    (void)state;
    struct random random = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {41943041, 58720359, 3588806011781223u, 3591011842654386u,
        9228616714210784205u, 9973669472204895162u};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(random_next(&random), expected[i]);
}

static void two_generators_differ(void **state)
{
    (void)state;
    struct random a, b;
    random_init(&a);
    random_init(&b);
    assert_int_not_equal(random_next(&a), random_next(&b));
}

/* Chi squared over `bound` cells; the seed is fixed, so the test never fails by chance. */
static void choices_are_even(void **state)
{
    (void)state;
    struct random random = {{1, 2, 3, 4}};
    static const uint64_t bounds[] = {2, 3, 7, 10, 64, 100};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        uint64_t bound = bounds[i], counts[100] = {0};
        double expected = 10000, chi_squared = 0;
        for (uint64_t n = 0; n < bound * 10000; n++) {
            uint64_t choice = random_below(&random, bound);
            assert_true(choice < bound);
            counts[choice]++;
        }
        for (uint64_t n = 0; n < bound; n++) {
            double off = (double)counts[n] - expected;
            chi_squared += off * off / expected;
        }
        assert_true(chi_squared < 2 * (double)bound + 15);
    }
}

/* Three fourths of the range: without rejection every third number would come up twice as often. */
static void large_bounds_are_even(void **state)
{
    (void)state;
    struct random random = {{1, 2, 3, 4}};
    uint64_t bound = ((uint64_t)1 << 63) + ((uint64_t)1 << 62), thirds = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t choice = random_below(&random, bound);
        assert_true(choice < bound);
        thirds += choice % 3 == 0;
    }
    assert_in_range(thirds, 32700, 34000);
    assert_int_equal(random_below(&random, 1), 0);
    random_below(&random, UINT64_MAX);
}

static void uuids_have_their_bits(void **state)
{
    (void)state;
    struct random random;
    char text[UUID_SIZE + 1] = {0}, before[UUID_SIZE + 1] = {0};
    random_init(&random);
    for (int i = 0; i < 1000; i++) {
        random_uuid7(&random, (int64_t)0x0123456789ab * MILLISECOND + 999999, text);
        assert_memory_equal(text, "01234567-89ab-7", 15);
        assert_int_equal(text[18], '-');
        assert_non_null(strchr("89ab", text[19]));
        assert_int_equal(text[23], '-');
        for (size_t j = 0; j < UUID_SIZE; j++)
            assert_non_null(strchr("0123456789abcdef-", text[j]));
        assert_int_equal(text[UUID_SIZE], '\0');
        assert_string_not_equal(text, before);
        memcpy(before, text, sizeof text);
    }
}

static void choose_from_nothing(void)
{
    struct random random = {{1, 2, 3, 4}};
    random_below(&random, 0);
}

static void choosing_from_nothing_is_a_bug(void **state)
{
    (void)state;
    assert_aborts(choose_from_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_fills_all_bytes),
        cmocka_unit_test(the_sequence_is_the_published_one),
        cmocka_unit_test(two_generators_differ),
        cmocka_unit_test(choices_are_even),
        cmocka_unit_test(large_bounds_are_even),
        cmocka_unit_test(choosing_from_nothing_is_a_bug),
        cmocka_unit_test(uuids_have_their_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
