#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/unit.h"

static void numbers_are_written(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    text_add_u64(&text, UINT64_MAX);
    text_add_char(&text, ' ');
    text_add_u64(&text, 0);
    text_add_char(&text, ' ');
    text_add_i64(&text, INT64_MIN);
    text_add_char(&text, ' ');
    text_add_i64(&text, 17);
    text_add_char(&text, ' ');
    text_add_hex(&text, 0xdeadbeef);
    text_add_char(&text, ' ');
    text_add_hex(&text, 0);
    assert_slice(text_slice(&text), "18446744073709551615 0 -9223372036854775808 17 deadbeef 0");
    text_release(&text);
}

static void long_formats_fit(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    for (int width = 505; width < 520; width++) {
        text_clear(&text);
        text_format(&text, "%*d|", width, 7);
        assert_int_equal(text.size, width + 1);
        assert_int_equal(text.data[width - 1], '7');
        assert_int_equal(text.data[width], '|');
    }
    text_release(&text);
}

static void a_fixed_text_fills_to_the_brim(void **state)
{
    (void)state;
    char memory[5] = "____";
    struct text text = text_fixed(memory, 4);
    assert_true(text_reserve(&text, 4));
    text_add_literal(&text, "ab");
    text_add_literal(&text, "cd");
    text_add_literal(&text, "");
    assert_true(text_reserve(&text, 0));
    assert_false(text.failed);
    assert_slice(text_slice(&text), "abcd");
    text_add_char(&text, 'e');
    assert_true(text.failed);
    assert_int_equal(memory[4], '\0');
    text_release(&text);
}

static void after_a_failure_all_is_dropped(void **state)
{
    (void)state;
    char memory[4];
    struct text text = text_fixed(memory, sizeof memory);
    text_add_literal(&text, "a");
    text_add_literal(&text, "too long");
    text_add_literal(&text, "b");
    text_add_literal(&text, "");
    assert_true(text.failed);
    assert_false(text_reserve(&text, 0));
    assert_slice(text_slice(&text), "a");
    text_clear(&text);
    text_add_literal(&text, "b");
    assert_false(text.failed);
    assert_slice(text_slice(&text), "b");
}

static void a_growing_text_keeps_its_limit(void **state)
{
    (void)state;
    struct text text = text_growing(1000);
    for (int i = 0; i < 1000; i++)
        text_add_char(&text, (char)i);
    assert_false(text.failed);
    assert_int_equal(text.data[999], (char)999);
    text_add_char(&text, 'x');
    assert_true(text.failed);
    assert_int_equal(text.size, 1000);
    text_release(&text);
    assert_false(text_reserve(&text, SIZE_MAX));
    text_clear(&text);
    text_add_char(&text, 'x');
    assert_slice(text_slice(&text), "x");
    text_release(&text);
}

/* Every number of digits, and every place of a two-digit step. */
static void all_digits_are_right(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    for (uint64_t value = 1; value < UINT64_MAX / 3; value *= 3)
        for (uint64_t off = 0; off < 3; off++) {
            char expected[32];
            snprintf(expected, sizeof expected, "%" PRIu64, value - 1 + off);
            text_clear(&text);
            text_add_u64(&text, value - 1 + off);
            assert_slices(text_slice(&text), slice_of_text(expected));
        }
    for (uint64_t value = 1; value <= UINT64_MAX / 10; value *= 10)
        for (uint64_t off = 0; off < 2; off++) {
            char expected[32];
            snprintf(expected, sizeof expected, "%" PRIu64, value - off);
            text_clear(&text);
            text_add_u64(&text, value - off);
            assert_slices(text_slice(&text), slice_of_text(expected));
        }
    text_release(&text);
}

/* Each byte at each place of what is looked at as a whole; the text ends where its memory does. */
static void json_escapes_are_seen_anywhere(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    for (size_t size = 1; size < 20; size++)
        for (size_t at = 0; at < size; at++)
            for (int c = 0; c < 0x80; c++) {
                char *plain = malloc(size);
                memset(plain, '~', size);
                plain[at] = (char)c;
                text_clear(&text);
                text_add_json(&text, slice_of(plain, size));
                bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
                assert_int_equal(text.size == size, is_plain);
                assert_int_equal(text.data[at], is_plain ? c : '\\');
                free(plain);
            }
    text_release(&text);
}

static void json_is_escaped(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    text_add_json(&text, SLICE("\"\\/\b\f\n\r\t\0\x1f\x7f ~"));
    assert_slice(text_slice(&text), "\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f ~");
    text_clear(&text);
    text_add_json(&text, SLICE("\xc3\xa9 \xf0\x9f\x98\x80 \xff \xc3"));
    assert_slice(text_slice(&text), "\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd");
    text_clear(&text);
    text_add_json(&text, SLICE("\xed\xa0\x80")); /* half a surrogate pair */
    assert_slice(text_slice(&text), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    text_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written),
        cmocka_unit_test(long_formats_fit),
        cmocka_unit_test(a_fixed_text_fills_to_the_brim),
        cmocka_unit_test(after_a_failure_all_is_dropped),
        cmocka_unit_test(a_growing_text_keeps_its_limit),
        cmocka_unit_test(all_digits_are_right),
        cmocka_unit_test(json_escapes_are_seen_anywhere),
        cmocka_unit_test(json_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
