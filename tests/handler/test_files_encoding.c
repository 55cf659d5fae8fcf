#include "handler/files_encoding.h"

#include "base/text.h"
#include "support/unit.h"

static const enum encoding all[] = {ENCODING_BROTLI, ENCODING_GZIP, ENCODING_ZSTD};

/* The variants that would be tried, as "br gzip". */
static void assert_order(const char *accept_encoding, const char *expected)
{
    struct encoding_wishes wishes = encoding_read_wishes(slice_of_text(accept_encoding));
    enum encoding order[ENCODING_COUNT];
    unsigned count = encoding_choose(&wishes, all, 3, order);
    char room[64];
    struct text text = text_fixed(room, sizeof room);
    for (unsigned i = 0; i < count; i++) {
        text_add(&text, i ? SLICE(" ") : SLICE(""));
        text_add(&text, encoding_token(order[i]));
    }
    text_add_char(&text, '\0');
    assert_string_equal(room, expected);
}

static void without_the_field_there_is_no_variant(void **state)
{
    (void)state;
    assert_order(NULL, "");
    assert_order("", "");
    assert_order("identity", "");
}

static void what_is_offered_first_wins_between_equals(void **state)
{
    (void)state;
    assert_order("gzip, br", "br gzip");
    assert_order("gzip, deflate, br, zstd", "br gzip zstd");
    assert_order("GZip", "gzip");
    assert_order("x-gzip", "gzip");
}

static void weights_decide(void **state)
{
    (void)state;
    assert_order("gzip;q=1.0, br;q=0.5", "gzip br");
    assert_order("gzip; q=0.8 ,br ;q=0.9,zstd;q=0.85", "br zstd gzip");
    assert_order("br;q=0, gzip;q=0.001", "gzip");
    assert_order("gzip;Q=0.5", "gzip");
}

static void identity_can_be_wanted_more(void **state)
{
    (void)state;
    assert_order("identity, gzip;q=0.5", "");
    assert_order("identity;q=0.5, gzip;q=0.5", "gzip");
    assert_order("identity;q=0, gzip;q=0.1", "gzip");
}

static void a_star_is_everything_else(void **state)
{
    (void)state;
    assert_order("*", "br gzip zstd");
    assert_order("*;q=0.5, br;q=0", "gzip zstd");
    assert_order("*;q=0", "");
    assert_order("*;q=0, gzip", "gzip");
}

static void malformed_members_do_not_count(void **state)
{
    (void)state;
    assert_order("br;q=2, br;q=1.001, gzip", "gzip");
    assert_order("br;q=0.1234, gzip", "gzip");
    assert_order("br;q=, br;q, br;, br;x=1, ;q=1, b r, gzip", "gzip");
    assert_order(",,gzip,,", "gzip");
    assert_order("br;q=-1, br;q=1.a, gzip", "gzip");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_field_there_is_no_variant),
        cmocka_unit_test(what_is_offered_first_wins_between_equals),
        cmocka_unit_test(weights_decide),
        cmocka_unit_test(identity_can_be_wanted_more),
        cmocka_unit_test(a_star_is_everything_else),
        cmocka_unit_test(malformed_members_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
