#include "base/slice.h"

#include "support/unit.h"

static void equality_looks_at_bytes(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
    assert_false(slice_equal(SLICE("ab"), SLICE("abc")));
    assert_true(slice_equal(SLICE_NONE, SLICE("")));
    assert_true(slice_equal_nocase(SLICE("Content-LENGTH"), SLICE("cOntent-length")));
    assert_true(slice_equal_nocase(SLICE("AZ"), SLICE("az")));
    assert_false(slice_equal_nocase(SLICE("ab"), SLICE("ac")));
    assert_false(slice_equal_nocase(SLICE("ab"), SLICE("a")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4")));
    assert_true(slice_equal(slice_of_text(NULL), SLICE_NONE));
}

static void order_is_by_bytes(void **state)
{
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("ab"), SLICE("a")) > 0);
    assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0);
    assert_true(slice_compare(SLICE_NONE, SLICE("")) == 0);
    assert_true(slice_compare(SLICE_NONE, SLICE("a")) < 0);
}

static void both_ends_are_compared(void **state)
{
    (void)state;
    assert_true(slice_has_prefix(SLICE("abc"), SLICE("ab")));
    assert_true(slice_has_prefix(SLICE("abc"), SLICE_NONE));
    assert_true(slice_has_prefix(SLICE("ab"), SLICE("ab")));
    assert_false(slice_has_prefix(SLICE("ab"), SLICE("abc")));
    assert_false(slice_has_prefix(SLICE("abc"), SLICE("ac")));
    assert_true(slice_has_suffix(SLICE("abc"), SLICE("bc")));
    assert_true(slice_has_suffix(SLICE("abc"), SLICE("")));
    assert_true(slice_has_suffix(SLICE("ab"), SLICE("ab")));
    assert_false(slice_has_suffix(SLICE("bc"), SLICE("abc")));
    assert_false(slice_has_suffix(SLICE("abc"), SLICE("ac")));
}

static void parts_are_found(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE("abcb"), 'b'), 1);
    assert_int_equal(slice_find(SLICE("abc"), 'x'), 3);
    assert_int_equal(slice_find(SLICE_NONE, 'x'), 0);
    assert_int_equal(slice_find_slice(SLICE("abcbcd"), SLICE("bcd")), 3);
    assert_int_equal(slice_find_slice(SLICE("abc"), SLICE("")), 0);
    assert_int_equal(slice_find_slice(SLICE("abc"), SLICE("abcd")), 3);
    assert_int_equal(slice_find_slice(SLICE_NONE, SLICE("a")), 0);
}

static void cutting_stays_inside(void **state)
{
    (void)state;
    assert_slice(slice_from(SLICE("abc"), 1), "bc");
    assert_slice(slice_from(SLICE("abc"), 3), "");
    assert_slice(slice_from(SLICE("abc"), SIZE_MAX), "");
    assert_slice(slice_head(SLICE("abc"), 2), "ab");
    assert_slice(slice_head(SLICE("abc"), SIZE_MAX), "abc");
    assert_slice(slice_trim(SLICE(" \t a b\t ")), "a b");
    assert_slice(slice_trim(SLICE("\n a")), "\n a");
    assert_slice(slice_trim(SLICE(" \t")), "");
}

/* The parts of `s`, joined by bars, each closed by one. */
static struct slice parts_of(struct slice s)
{
    static char joined[100];
    size_t size = 0;
    struct slice part;
    while (slice_split(&s, ',', &part)) {
        if (part.size)
            memcpy(joined + size, part.data, part.size);
        size += part.size;
        joined[size++] = '|';
    }
    return slice_of(joined, size);
}

static void splitting_keeps_empty_parts(void **state)
{
    (void)state;
    assert_slice(parts_of(SLICE("a,,b")), "a||b|");
    assert_slice(parts_of(SLICE("a")), "a|");
    assert_slice(parts_of(SLICE("a,")), "a||");
    assert_slice(parts_of(SLICE(",")), "||");
    assert_slice(parts_of(SLICE("")), "|");
    assert_slice(parts_of(SLICE_NONE), "");
}

static void decimal_numbers_are_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "1a", "0x1",
        "18446744073709551616", "99999999999999999999", "184467440737095516150", "1.0", ":", "/"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (slice_to_u64(slice_of_text(wrong[i]), &value))
            fail_msg("taken for a number: %s", wrong[i]);
    assert_int_equal(value, 7);
    assert_false(slice_to_u64(SLICE("1\0"), &value));
    assert_true(slice_to_u64(SLICE("0"), &value));
    assert_int_equal(value, 0);
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &value));
    assert_int_equal(value, UINT64_MAX);
    assert_true(slice_to_u64(SLICE("00000000000000000000000042"), &value));
    assert_int_equal(value, 42);
}

static void hexadecimal_numbers_are_read(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "g", "0x1", "-1", "1 ", "10000000000000000", "@", "`", "G"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (slice_to_hex_u64(slice_of_text(wrong[i]), &value))
            fail_msg("taken for a number: %s", wrong[i]);
    assert_int_equal(value, 7);
    assert_true(slice_to_hex_u64(SLICE("fFfFfFfFfFfFfFfF"), &value));
    assert_int_equal(value, UINT64_MAX);
    assert_true(slice_to_hex_u64(SLICE("000000000000000000001aB"), &value));
    assert_int_equal(value, 0x1ab);
    assert_true(slice_to_hex_u64(SLICE("0919"), &value));
    assert_int_equal(value, 0x919);
}

static void words_stand_between_any_blanks(void **state)
{
    (void)state;
    struct slice rest = SLICE("  open 10s   if "), word;
    assert_true(slice_next_word(&rest, &word));
    assert_slice(word, "open");
    assert_true(slice_next_word(&rest, &word));
    assert_slice(word, "10s");
    assert_true(slice_next_word(&rest, &word));
    assert_slice(word, "if");
    assert_false(slice_next_word(&rest, &word));
    assert_null(word.data);
    rest = SLICE("");
    assert_false(slice_next_word(&rest, &word));
    rest = SLICE_NONE;
    assert_false(slice_next_word(&rest, &word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_looks_at_bytes),
        cmocka_unit_test(order_is_by_bytes),
        cmocka_unit_test(both_ends_are_compared),
        cmocka_unit_test(parts_are_found),
        cmocka_unit_test(cutting_stays_inside),
        cmocka_unit_test(splitting_keeps_empty_parts),
        cmocka_unit_test(decimal_numbers_are_read),
        cmocka_unit_test(hexadecimal_numbers_are_read),
        cmocka_unit_test(words_stand_between_any_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
