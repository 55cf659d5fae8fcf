#include "base/base64.h"

#include <stdlib.h>

#include "support/unit.h"

/* RFC 4648 §10, then what differs between the alphabets. */
static const struct {
    struct slice bytes, text, unpadded, url;
} samples[] = {
    {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("")},
    {SLICE_INIT("f"), SLICE_INIT("Zg=="), SLICE_INIT("Zg"), SLICE_INIT("Zg==")},
    {SLICE_INIT("fo"), SLICE_INIT("Zm8="), SLICE_INIT("Zm8"), SLICE_INIT("Zm8=")},
    {SLICE_INIT("foo"), SLICE_INIT("Zm9v"), SLICE_INIT("Zm9v"), SLICE_INIT("Zm9v")},
    {SLICE_INIT("foob"), SLICE_INIT("Zm9vYg=="), SLICE_INIT("Zm9vYg"), SLICE_INIT("Zm9vYg==")},
    {SLICE_INIT("fooba"), SLICE_INIT("Zm9vYmE="), SLICE_INIT("Zm9vYmE"), SLICE_INIT("Zm9vYmE=")},
    {SLICE_INIT("\xfb\xff\xfe"), SLICE_INIT("+//+"), SLICE_INIT("+//+"), SLICE_INIT("-__-")},
};

#define SAMPLES (sizeof samples / sizeof *samples)

static void check_both_ways(struct slice bytes, struct slice text, unsigned options)
{
    char room[16];
    size_t size = 99;
    assert_true(base64_encoded_size(bytes.size) <= sizeof room);
    assert_slices(slice_of(room, base64_encode(bytes, options, room)), text);
    assert_true(base64_decoded_size(text.size) <= sizeof room);
    assert_true(base64_decode(text, options, room, &size));
    assert_slices(slice_of(room, size), bytes);
}

static void samples_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        check_both_ways(samples[i].bytes, samples[i].text, 0);
        check_both_ways(samples[i].bytes, samples[i].unpadded, BASE64_UNPADDED);
        check_both_ways(samples[i].bytes, samples[i].url, BASE64_URL);
    }
}

static void all_sizes_go_both_ways(void **state)
{
    (void)state;
    for (size_t size = 0; size < 200; size++)
        for (unsigned options = 0; options < 4; options++) {
            char *bytes = malloc(size + 1), *text = malloc(base64_encoded_size(size) + 1);
            char *back = malloc(base64_decoded_size(base64_encoded_size(size)));
            size_t back_size;
            for (size_t i = 0; i < size; i++)
                bytes[i] = (char)(i * 151 + size);
            size_t text_size = base64_encode(slice_of(bytes, size), options, text);
            assert_true(base64_decode(slice_of(text, text_size), options, back, &back_size));
            assert_slices(slice_of(back, back_size), slice_of(bytes, size));
            /* In place, too. */
            assert_true(base64_decode(slice_of(text, text_size), options, text, &back_size));
            assert_slices(slice_of(text, back_size), slice_of(bytes, size));
            free(bytes);
            free(text);
            free(back);
        }
}

static bool is_accepted(const char *text, unsigned options)
{
    char room[64];
    size_t size;
    return base64_decode(slice_of_text(text), options, room, &size);
}

static void the_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"Z", "Zg", "Zg=", "Zg===", "Zg==Zg==", "=",
        "==", "====", "Zm9v=", "Zm9v====", "Z=g=", "Zm 9", "Zm9\n", "Zm9-", "Zm9_", "Zm9*",
        "Zm9\xff", "Zh==", "Zm9="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (is_accepted(wrong[i], 0))
            fail_msg("accepted: %s", wrong[i]);
    assert_false(is_accepted("Zg==", BASE64_UNPADDED));
    assert_false(is_accepted("Z", BASE64_UNPADDED));
    assert_false(is_accepted("+//+", BASE64_URL));
}

static void lenience_has_its_bounds(void **state)
{
    (void)state;
    assert_true(is_accepted("Zg", BASE64_LENIENT));
    assert_true(is_accepted("Zg==", BASE64_LENIENT));
    assert_true(is_accepted("Zh==", BASE64_LENIENT));
    assert_false(is_accepted("Zg=", BASE64_LENIENT));
    assert_false(is_accepted("Z", BASE64_LENIENT));
    assert_false(is_accepted("Z===", BASE64_LENIENT));
    assert_false(is_accepted("Z g", BASE64_LENIENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_go_both_ways),
        cmocka_unit_test(all_sizes_go_both_ways),
        cmocka_unit_test(the_malformed_is_refused),
        cmocka_unit_test(lenience_has_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
