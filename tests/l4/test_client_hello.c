#include "l4/client_hello.h"

#include "base/text.h"
#include "support/unit.h"

/* What OpenSSL 3.0 sends for "Shop.Example." with ALPN h2 and http/1.1, up to its padding. */
static const char real_hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x79\xce\xfd\x44\xd8"
                                 "\x6b\x41\x73\x41\x1a\x8d\x2f\x90"
                                 "\x64\xda\x66\x2f\x64\xe1\xa9\xc1\x4a\xb7\xa8\x6d\xf7\x52\x4d\xca"
                                 "\x84\x2f\xa1\x20\xd5\x06\xd0\x79"
                                 "\x5d\xe8\x50\x6e\x3d\x86\x5f\x47\xcf\x8e\xd0\xbe\x8a\x3a\xf4\x71"
                                 "\xa1\xe1\x9a\x72\x61\x08\x4e\xe7"
                                 "\x06\xbd\x70\x9b\x00\x3e\x13\x02\x13\x03\x13\x01\xc0\x2c\xc0\x30"
                                 "\x00\x9f\xcc\xa9\xcc\xa8\xcc\xaa"
                                 "\xc0\x2b\xc0\x2f\x00\x9e\xc0\x24\xc0\x28\x00\x6b\xc0\x23\xc0\x27"
                                 "\x00\x67\xc0\x0a\xc0\x14\x00\x39"
                                 "\xc0\x09\xc0\x13\x00\x33\x00\x9d\x00\x9c\x00\x3d\x00\x3c\x00\x35"
                                 "\x00\x2f\x00\xff\x01\x00\x01\x75"
                                 "\x00\x00\x00\x12\x00\x10\x00\x00\x0d\x53\x68\x6f\x70\x2e\x45\x78"
                                 "\x61\x6d\x70\x6c\x65\x2e\x00\x0b"
                                 "\x00\x04\x03\x00\x01\x02\x00\x0a\x00\x16\x00\x14\x00\x1d\x00\x17"
                                 "\x00\x1e\x00\x19\x00\x18\x01\x00"
                                 "\x01\x01\x01\x02\x01\x03\x01\x04\x00\x23\x00\x00\x00\x10\x00\x0e"
                                 "\x00\x0c\x02\x68\x32\x08\x68\x74"
                                 "\x74\x70\x2f\x31\x2e\x31\x00\x16\x00\x00\x00\x17\x00\x00\x00\x0d"
                                 "\x00\x2a\x00\x28\x04\x03\x05\x03"
                                 "\x06\x03\x08\x07\x08\x08\x08\x09\x08\x0a\x08\x0b\x08\x04\x08\x05"
                                 "\x08\x06\x04\x01\x05\x01\x06\x01"
                                 "\x03\x03\x03\x01\x03\x02\x04\x02\x05\x02\x06\x02\x00\x2b\x00\x09"
                                 "\x08\x03\x04\x03\x03\x03\x02\x03"
                                 "\x01\x00\x2d\x00\x02\x01\x01\x00\x33\x00\x26\x00\x24\x00\x1d\x00"
                                 "\x20\xfd\x0c\x4d\x0c\x75\x02\xc0"
                                 "\xdf\x08\x22\x6b\x9b\xc4\x67\x7f\xe1\xef\x67\xc0\xe6\x99\x1a\xac"
                                 "\x48\x18\xc1\xc6\x84\x3b\x94\x2e"
                                 "\x2d\x00\x15\x00\xb0";
#define REAL_SIZE 517 /* the rest is zero */

/* --- making hellos */

static void add16(struct text *text, size_t value)
{
    text_add_char(text, (char)(value >> 8));
    text_add_char(text, (char)value);
}

static void add_zeros(struct text *text, size_t count)
{
    while (count-- > 0)
        text_add_char(text, '\0');
}

static void add_extension(struct text *text, size_t kind, struct slice value)
{
    add16(text, kind);
    add16(text, value.size);
    text_add(text, value);
}

static void add_name(struct text *text, struct slice name)
{
    add16(text, 0);
    add16(text, name.size + 5);
    add16(text, name.size + 3);
    text_add_char(text, '\0');
    add16(text, name.size);
    text_add(text, name);
}

/* A hello's message around its extensions. */
static struct text message_of(struct slice extensions)
{
    struct text text = text_growing(0);
    size_t size = 2 + 32 + 1 + 4 + 2 + (extensions.data ? 2 + extensions.size : 0);
    text_add_char(&text, 1);
    text_add_char(&text, (char)(size >> 16));
    add16(&text, size & 0xffff);
    add16(&text, 0x0303);
    add_zeros(&text, 32);
    text_add_char(&text, '\0');
    add16(&text, 2);
    add16(&text, 0x1301);
    text_add(&text, SLICE("\x01\0"));
    if (extensions.data) {
        add16(&text, extensions.size);
        text_add(&text, extensions);
    }
    return text;
}

static struct text records_of(struct slice message, size_t piece)
{
    struct text text = text_growing(0);
    while (message.size) {
        struct slice part = slice_head(message, piece);
        text_add(&text, SLICE("\x16\x03\x01"));
        add16(&text, part.size);
        text_add(&text, part);
        message = slice_from(message, part.size);
    }
    return text;
}

static enum status parse(struct slice extensions, size_t piece, struct client_hello *hello)
{
    struct text message = message_of(extensions), records = records_of(text_slice(&message), piece);
    enum status e = client_hello_parse(text_slice(&records), hello);
    text_release(&message);
    text_release(&records);
    return e;
}

static void check_bad(struct slice extensions)
{
    struct client_hello hello;
    assert_status(parse(extensions, 16384, &hello), INVALID);
}

#define bad(literal) check_bad(SLICE(literal))

/* --- tests */

static void a_real_hello_is_read(void **state)
{
    (void)state;
    char bytes[REAL_SIZE] = {0};
    struct client_hello hello;
    memcpy(bytes, real_hello, sizeof real_hello - 1);
    assert_ok(client_hello_parse(slice_of(bytes, sizeof bytes), &hello));
    assert_slice(client_hello_name(&hello), "shop.example");
    assert_slice(client_hello_protocols(&hello), "\x02h2\x08http/1.1");
    assert_true(client_hello_offers(&hello, SLICE("h2")));
    assert_true(client_hello_offers(&hello, SLICE("http/1.1")));
    assert_false(client_hello_offers(&hello, SLICE("http/1.0")));
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_status(client_hello_parse(slice_of(bytes, i), &hello), INCOMPLETE);
}

static void large_ones_come_in_records(void **state)
{
    (void)state;
    static const size_t key_sizes[] = {1216, 2000, 8000, 15900};
    static const size_t pieces[] = {16384, 4096, 1000, 300};
    for (size_t i = 0; i < sizeof key_sizes / sizeof *key_sizes; i++)
        for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
            struct text extensions = text_growing(0), key = text_growing(0);
            struct client_hello hello;
            add_extension(&extensions, 0x3a3a, SLICE_NONE); /* GREASE (RFC 8701) */
            add_zeros(&key, key_sizes[i]);
            add_extension(&extensions, 51, text_slice(&key));
            add_name(&extensions, SLICE("pq.example"));
            add_extension(&extensions, 16, SLICE("\0\x09\x02\x5a\x5a\x05spdy9"));
            add_extension(&extensions, 0xaaaa, SLICE("\0"));
            assert_ok(parse(text_slice(&extensions), pieces[j], &hello));
            assert_slice(client_hello_name(&hello), "pq.example");
            assert_true(client_hello_offers(&hello, SLICE("spdy9")));
            text_release(&extensions);
            text_release(&key);
        }
}

static void every_byte_may_come_alone(void **state)
{
    (void)state;
    struct text extensions = text_growing(0);
    add_name(&extensions, SLICE("one.example"));
    struct text message = message_of(text_slice(&extensions));
    for (size_t piece = 2; piece < 40; piece++) {
        struct text records = records_of(text_slice(&message), piece);
        struct slice all = text_slice(&records);
        struct client_hello hello;
        for (size_t i = 0; i < all.size; i++)
            assert_status(client_hello_parse(slice_head(all, i), &hello), INCOMPLETE);
        assert_ok(client_hello_parse(all, &hello));
        assert_slice(client_hello_name(&hello), "one.example");
        text_release(&records);
    }
    text_release(&extensions);
    text_release(&message);
}

static void what_is_left_out_is_empty(void **state)
{
    (void)state;
    struct client_hello hello;
    assert_ok(parse(SLICE_NONE, 16384, &hello));
    assert_int_equal(client_hello_name(&hello).size, 0);
    assert_int_equal(client_hello_protocols(&hello).size, 0);
    assert_ok(parse(SLICE(""), 16384, &hello));
    assert_int_equal(client_hello_name(&hello).size, 0);
}

static void what_is_no_hello_is_refused(void **state)
{
    (void)state;
    struct client_hello hello;
    assert_status(client_hello_parse(SLICE("GET / HTTP/1.1\r\n"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x80\x2e\x01\x03\x01"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x16\x02"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x16\x03\x01\0\0"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x16\x03\x01\x40\x01"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x16\x03\x01\0\x04\x02\0\0\0"), &hello), INVALID);
    assert_status(client_hello_parse(SLICE("\x16\x03\x01\0\x04\x01\0\x40\x01"), &hello), TOO_LARGE);
    assert_status(
        client_hello_parse(SLICE("\x16\x03\x01\0\x04\x01\0\0\x04\x17\x03\x03"), &hello), INVALID);
    /* one byte a record */
    struct text message = message_of(SLICE("")), records = records_of(text_slice(&message), 1);
    assert_int_equal(message.size, 47);
    assert_ok(client_hello_parse(text_slice(&records), &hello));
    text_release(&records);
    add_zeros(&message, 40);
    message.data[3] = (char)(message.size - 4);
    records = records_of(text_slice(&message), 1);
    assert_status(client_hello_parse(text_slice(&records), &hello), INVALID);
    text_release(&records);
    text_release(&message);
}

static void extensions_that_lie_are_refused(void **state)
{
    (void)state;
    bad("\0\0\0");     /* cut off */
    bad("\0\0\0\x05"); /* longer than what is there */
    bad("\0\0\0\x06\0\x05\0\0\x01"
        "a"); /* a list of names that is shorter than it says */
    bad("\0\0\0\x06\0\x03\0\0\x01"
        "a");
    bad("\0\0\0\x06\0\x04\x01\0\x01"
        "a");                      /* another kind of name */
    bad("\0\0\0\x05\0\x03\0\0\0"); /* an empty name */
    bad("\0\0\0\x06\0\x04\0\0\x01"
        "."); /* the root */
    bad("\0\0\0\x06\0\x04\0\0\x01"
        "\n");
    bad("\0\0\0\x06\0\x04\0\0\x01"
        "\0");
    bad("\0\0\0\x06\0\x04\0\0\x01"
        "a"
        "\0\0\0\x06\0\x04\0\0\x01"
        "a");                        /* twice */
    bad("\0\x10\0\x03\0\x01\0");     /* an empty protocol */
    bad("\0\x10\0\x05\0\x03\x03h2"); /* one that is cut off */
}

static void too_many_protocols_are_cut(void **state)
{
    (void)state;
    struct text list = text_growing(0), extensions = text_growing(0);
    struct client_hello hello;
    add16(&list, 2 * 121);
    for (int i = 0; i < 2; i++) {
        text_add_char(&list, 120);
        for (int j = 0; j < 120; j++)
            text_add_char(&list, (char)('a' + i));
    }
    list.data[1] = (char)(2 * 121 + 32);
    list.data[0] = (char)((2 * 121 + 32) >> 8);
    text_add_char(&list, 31);
    for (int j = 0; j < 31; j++)
        text_add_char(&list, 'z');
    add_extension(&extensions, 16, text_slice(&list));
    assert_ok(parse(text_slice(&extensions), 16384, &hello));
    assert_int_equal(client_hello_protocols(&hello).size, 242);
    text_release(&list);
    text_release(&extensions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_hello_is_read),
        cmocka_unit_test(large_ones_come_in_records),
        cmocka_unit_test(every_byte_may_come_alone),
        cmocka_unit_test(what_is_left_out_is_empty),
        cmocka_unit_test(what_is_no_hello_is_refused),
        cmocka_unit_test(extensions_that_lie_are_refused),
        cmocka_unit_test(too_many_protocols_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
