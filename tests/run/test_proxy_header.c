#include "run/proxy_header.h"

#include "support/unit.h"

static struct address address_of(const char *text)
{
    struct address address;
    assert_ok(address_parse(slice_of_text(text), &address));
    return address;
}

static void check_address(const struct address *address, const char *expected)
{
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    address_format(address, &text);
    assert_slices(text_slice(&text), slice_of_text(expected));
}

/* Reads as a connection does: never more than the header has for sure, with what follows at hand.
 */
static enum status read_piecewise(
    struct slice all, struct proxy_header *ret_header, size_t *ret_size)
{
    size_t have = 0, wanted = 0;
    enum status e;
    while ((e = proxy_header_parse(slice_head(all, have), ret_header, &wanted)) == INCOMPLETE) {
        assert_true(wanted > have);
        if (wanted > all.size)
            return INCOMPLETE;
        have = wanted;
    }
    if (!e)
        assert_int_equal(have, wanted);
    *ret_size = have;
    return e;
}

static void check_good(struct slice header, const char *source, const char *destination)
{
    char room[512];
    struct text text = text_fixed(room, sizeof room);
    struct proxy_header read, again;
    size_t size = 0, of_pieces = 0;
    text_add(&text, header);
    text_add_literal(&text, "GET / HTTP/1.1\r\n\r\n");
    assert_ok(proxy_header_parse(text_slice(&text), &read, &size));
    assert_int_equal(size, header.size);
    assert_ok(read_piecewise(text_slice(&text), &again, &of_pieces));
    assert_int_equal(of_pieces, header.size);
    for (size_t i = 0; i < header.size; i++) {
        assert_status(proxy_header_parse(slice_head(header, i), &again, &size), INCOMPLETE);
        assert_in_range(size, i + 1, header.size);
    }
    assert_int_equal(read.is_local, source == NULL);
    if (!source)
        return;
    check_address(&read.source, source);
    check_address(&read.destination, destination);
}

#define good(literal, source, destination) check_good(SLICE(literal), source, destination)

static void check_bad(struct slice header)
{
    struct proxy_header read;
    size_t size;
    assert_status(proxy_header_parse(header, &read, &size), INVALID);
}

#define bad(literal) check_bad(SLICE(literal))

static void lines_are_read(void **state)
{
    (void)state;
    good("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", "1.2.3.4:9", "5.6.7.8:10");
    good("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
        "255.255.255.255:65535");
    good("PROXY TCP6 :: ::1 0 1\r\n", "[::]:0", "[::1]:1");
    good("PROXY TCP6 ffff:f:f:f:f:f:f:ffff ffff:f:f:f:f:f:f:ffff 65535 65535\r\n",
        "[ffff:f:f:f:f:f:f:ffff]:65535", "[ffff:f:f:f:f:f:f:ffff]:65535");
    good("PROXY UNKNOWN\r\n", NULL, NULL);
    good("PROXY UNKNOWN ffff:f...f:ffff and what 65535 else 65535\r\n", NULL, NULL);
}

static void lines_that_are_wrong_are_refused(void **state)
{
    (void)state;
    bad("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    bad("proxy TCP4 1.2.3.4 5.6.7.8 9 10\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n");
    bad("PROXY TCP4 1.2.3.4  5.6.7.8 9 10\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 9 10 \r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n");
    bad("PROXY TCP4 1.2.3 5.6.7.8 9 10\r\n");
    bad("PROXY TCP4 ::1 ::1 9 10\r\n");
    bad("PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n");
    bad("PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n");
    bad("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\rX\n");
    bad("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456789"
        "012345678901234567890123\r\n");
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static void binary_headers_are_read(void **state)
{
    (void)state;
    good(SIGNATURE "\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb", "1.2.3.4:4660",
        "5.6.7.8:443");
    good(SIGNATURE "\x21\x12\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb", "1.2.3.4:4660",
        "5.6.7.8:443");
    good(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02",
        "[2001:db8::1]:1", "[2001:db8::2]:2");
    good(SIGNATURE "\x20\0\0\0", NULL, NULL);
    good(SIGNATURE "\x20\x11\0\x04what", NULL, NULL);
    good(SIGNATURE "\x21\0\0\0", NULL, NULL);
    good(SIGNATURE "\x21\0\0\x05\x04\0\x02!!", NULL, NULL);
}

static void unix_paths_and_additions_are_skipped(void **state)
{
    (void)state;
    char room[16 + 216 + 6];
    struct text text = text_fixed(room, sizeof room);
    text_add(&text, SLICE(SIGNATURE "\x21\x31\0\xd8/run/a"));
    while (text.size < 16 + 216)
        text_add_char(&text, '\0');
    check_good(text_slice(&text), NULL, NULL);
    room[15] = (char)0xde;
    text_add(&text, SLICE("\x05\0\x03"
                          "id1"));
    check_good(text_slice(&text), NULL, NULL);
    good(SIGNATURE "\x21\x11\0\x17\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb"
                   "\x01\0\x02h2\x04\0\x03!!!",
        "1.2.3.4:4660", "5.6.7.8:443");
}

static void a_checksum_is_verified(void **state)
{
    (void)state;
    good(SIGNATURE "\x21\x11\0\x13\x7f\0\0\x01\x7f\0\0\x01\x30\x39\0\x50\x03\0\x04"
                   "\xd6\x41\x75\xaf",
        "127.0.0.1:12345", "127.0.0.1:80");
    bad(SIGNATURE "\x21\x11\0\x13\x7f\0\0\x01\x7f\0\0\x01\x30\x39\0\x50\x03\0\x04"
                  "\xd6\x41\x75\xae");
    bad(SIGNATURE "\x21\x11\0\x12\x7f\0\0\x01\x7f\0\0\x01\x30\x39\0\x50\x03\0\x03"
                  "\xd6\x41\x75");
}

static void binary_headers_that_are_wrong_are_refused(void **state)
{
    (void)state;
    bad(SIGNATURE "\x11\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb");
    bad(SIGNATURE "\x22\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb");
    bad(SIGNATURE "\x21\x13\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb");
    bad(SIGNATURE "\x21\x11\0\x0b\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01");
    bad(SIGNATURE "\x21\x31\0\x04/run");
    bad(SIGNATURE "\x21\x11\0\x0e\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb\x01\0");
    bad(SIGNATURE "\x21\x11\0\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb\x01\0\x01");
    bad("\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c");
    struct proxy_header read;
    size_t size;
    assert_status(proxy_header_parse(SLICE(SIGNATURE "\x21\x11\x10\x01"), &read, &size), TOO_LARGE);
}

static void check_written(
    enum proxy_version version, const char *source, const char *destination, struct slice expected)
{
    char room[PROXY_HEADER_ROOM];
    struct address from = address_of(source), to = address_of(destination);
    size_t size = proxy_header_write(version, &from, &to, room);
    assert_slices(slice_of(room, size), expected);
    struct proxy_header read;
    assert_ok(proxy_header_parse(expected, &read, &size));
}

static void headers_are_written(void **state)
{
    (void)state;
    check_written(
        PROXY_V1, "1.2.3.4:9", "5.6.7.8:10", SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"));
    check_written(PROXY_V1, "[::ffff:1.2.3.4]:9", "[::ffff:5.6.7.8]:10",
        SLICE("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"));
    check_written(PROXY_V1, "[2001:db8::1]:9", "5.6.7.8:10",
        SLICE("PROXY TCP6 2001:db8::1 ::ffff:5.6.7.8 9 10\r\n"));
    check_written(PROXY_V1, "unix:/a", "unix:/b", SLICE("PROXY UNKNOWN\r\n"));
    check_written(PROXY_V2, "1.2.3.4:4660", "5.6.7.8:443",
        SLICE(SIGNATURE "\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\x01\xbb"));
    check_written(PROXY_V2, "[2001:db8::1]:1", "[2001:db8::2]:2",
        SLICE(SIGNATURE "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                        "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02"));
    check_written(PROXY_V2, "unix:/a", "1.2.3.4:5", SLICE(SIGNATURE "\x21\0\0\0"));
    struct address any = address_of("1.2.3.4:1");
    char room[PROXY_HEADER_ROOM];
    assert_int_equal(proxy_header_write(PROXY_NONE, &any, &any, room), 0);
    size_t size = proxy_header_write(PROXY_V2, NULL, NULL, room); /* our own connection */
    assert_slices(slice_of(room, size), SLICE(SIGNATURE "\x20\0\0\0"));
    size = proxy_header_write(PROXY_V1, NULL, NULL, room);
    assert_slices(slice_of(room, size), SLICE("PROXY UNKNOWN\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(lines_that_are_wrong_are_refused),
        cmocka_unit_test(binary_headers_are_read),
        cmocka_unit_test(unix_paths_and_additions_are_skipped),
        cmocka_unit_test(a_checksum_is_verified),
        cmocka_unit_test(binary_headers_that_are_wrong_are_refused),
        cmocka_unit_test(headers_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
