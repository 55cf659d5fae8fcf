#include "base/utf8.h"

#include "support/unit.h"

/* Every character there is, there and back. */
static void each_character_is_one(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        char text[4];
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        size_t size = utf8_encode(code, text);
        if (utf8_size(slice_of(text, size)) != size)
            fail_msg("U+%04X has %zu bytes", code, size);
        for (size_t cut = 0; cut < size; cut++)
            if (utf8_size(slice_of(text, cut)))
                fail_msg("U+%04X is whole when cut at %zu", code, cut);
    }
}

static void characters_grow_at_the_boundaries(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        struct slice text;
    } samples[] = {
        {0, SLICE_INIT("\0")},
        {0x7f, SLICE_INIT("\x7f")},
        {0x80, SLICE_INIT("\xc2\x80")},
        {0x7ff, SLICE_INIT("\xdf\xbf")},
        {0x800, SLICE_INIT("\xe0\xa0\x80")},
        {0xd7ff, SLICE_INIT("\xed\x9f\xbf")},
        {0xe000, SLICE_INIT("\xee\x80\x80")},
        {0xffff, SLICE_INIT("\xef\xbf\xbf")},
        {0x10000, SLICE_INIT("\xf0\x90\x80\x80")},
        {0x10ffff, SLICE_INIT("\xf4\x8f\xbf\xbf")},
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char text[4];
        size_t size = utf8_encode(samples[i].code, text);
        assert_slices(slice_of(text, size), samples[i].text);
    }
}

/* All two bytes, and all three with a good or bad third: only what encoding yields is a character.
 */
static void nothing_else_is_one(void **state)
{
    (void)state;
    size_t twos = 0, threes = 0;
    for (unsigned first = 0x80; first <= 0xff; first++)
        for (unsigned second = 0; second <= 0xff; second++)
            for (unsigned third = 0; third <= 0xff; third++) {
                char text[3] = {(char)first, (char)second, (char)third};
                size_t size = utf8_size(slice_of(text, 3));
                twos += size == 2 && third == 0;
                threes += size == 3;
            }
    assert_int_equal(twos, 0x800 - 0x80);
    assert_int_equal(threes, 0x10000 - 0x800 - 0x800);
}

static void malformed_bytes_are_seen(void **state)
{
    (void)state;
    static const struct slice samples[] = {SLICE_INIT("\x80"), SLICE_INIT("\xbf"),
        SLICE_INIT("\xc0\x80"), SLICE_INIT("\xc1\xbf"), SLICE_INIT("\xe0\x9f\xbf"),
        SLICE_INIT("\xed\xa0\x80"), SLICE_INIT("\xed\xbf\xbf"), SLICE_INIT("\xf0\x8f\xbf\xbf"),
        SLICE_INIT("\xf4\x90\x80\x80"), SLICE_INIT("\xf5\x80\x80\x80"), SLICE_INIT("\xff"),
        SLICE_INIT("\xfe"), SLICE_INIT("\xc3"), SLICE_INIT("\xe2\x82"), SLICE_INIT("\xf0\x9f\x98"),
        SLICE_INIT("\xc3\x28"), SLICE_INIT("\xe2\x28\xa1"), SLICE_INIT("\xe2\x82\x28"),
        SLICE_INIT("\xf0\x90\x80\x7f"), SLICE_INIT("\xf0\x90\xc0\x80")};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_int_equal(utf8_size(samples[i]), 0);
    assert_int_equal(utf8_size(SLICE_NONE), 0);
}

/* At each place of and behind the words that are looked at as a whole. */
static void a_wrong_byte_is_seen_anywhere(void **state)
{
    (void)state;
    for (size_t size = 1; size < 40; size++)
        for (size_t at = 0; at < size; at++) {
            char text[40];
            memset(text, 'a', size);
            assert_true(utf8_is_valid(slice_of(text, size)));
            text[at] = (char)0x80;
            assert_false(utf8_is_valid(slice_of(text, size)));
            if (at) {
                text[at - 1] = (char)0xc2;
                assert_true(utf8_is_valid(slice_of(text, size)));
            }
        }
}

static void a_text_is_valid_as_a_whole(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(SLICE_NONE));
    assert_true(utf8_is_valid(SLICE("abcdefgh ijklmnop \xc3\xa9 \xf0\x9f\x98\x80 z")));
    assert_false(utf8_is_valid(SLICE("abcdefgh ijklmnop \xc3")));
    assert_false(utf8_is_valid(SLICE("abcdefg\xff")));
    assert_false(utf8_is_valid(SLICE("\xffxxxxxxxxxxxxxx")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_character_is_one),
        cmocka_unit_test(characters_grow_at_the_boundaries),
        cmocka_unit_test(nothing_else_is_one),
        cmocka_unit_test(malformed_bytes_are_seen),
        cmocka_unit_test(a_wrong_byte_is_seen_anywhere),
        cmocka_unit_test(a_text_is_valid_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
