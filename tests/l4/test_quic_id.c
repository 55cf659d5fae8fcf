#include "l4/quic_id.h"

#include "support/unit.h"

static void long_headers_say_how_long_ids_are(void **state)
{
    (void)state;
    struct quic_ids ids;
    /* The beginning of the client's Initial in RFC 9001 appendix A.2. */
    assert_true(quic_ids_read(
        SLICE("\xc0\x00\x00\x00\x01\x08\x83\x94\xc8\xf0\x3e\x51\x57\x08\x00\x00\x44\x9e"), &ids));
    assert_true(ids.is_long);
    assert_slice(ids.to, "\x83\x94\xc8\xf0\x3e\x51\x57\x08");
    assert_int_equal(ids.from.size, 0);
    /* And of the server's, A.3. */
    assert_true(quic_ids_read(
        SLICE("\xc1\x00\x00\x00\x01\x00\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5\x00\x40\x75"), &ids));
    assert_int_equal(ids.to.size, 0);
    assert_slice(ids.from, "\xf0\x67\xa5\x50\x2a\x42\x62\xb5");
}

static void short_headers_do_not(void **state)
{
    (void)state;
    struct quic_ids ids;
    assert_true(quic_ids_read(SLICE("\x40"
                                    "0123456789abcdef0123456789"),
        &ids));
    assert_false(ids.is_long);
    assert_slice(ids.to, "0123456789abcdef0123");
    assert_true(quic_ids_read(SLICE("\x40"
                                    "0123"),
        &ids));
    assert_slice(ids.to, "0123");
}

static void what_is_cut_off_is_none(void **state)
{
    (void)state;
    struct quic_ids ids;
    struct slice whole = SLICE("\xc0\0\0\0\1\x03"
                               "abc\x02"
                               "de");
    for (size_t i = 0; i < whole.size; i++)
        assert_false(quic_ids_read(slice_head(whole, i), &ids));
    assert_true(quic_ids_read(whole, &ids));
    assert_slice(ids.from, "de");
    assert_false(quic_ids_read(SLICE("\xc0\0\0\0\1\xff"
                                     "abc\x02"
                                     "de"),
        &ids));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_headers_say_how_long_ids_are),
        cmocka_unit_test(short_headers_do_not),
        cmocka_unit_test(what_is_cut_off_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
