#include "run/address.h"

#include "support/unit.h"

static struct address parsed(const char *text)
{
    struct address address;
    assert_ok(address_parse(slice_of_text(text), &address));
    return address;
}

static void check_format(const char *text, const char *full, const char *ip)
{
    char room[ADDRESS_TEXT_MAX];
    struct address address = parsed(text);
    struct text out = text_fixed(room, sizeof room);
    address_format(&address, &out);
    assert_false(out.failed);
    assert_slices(text_slice(&out), slice_of_text(full));
    text_clear(&out);
    address_format_ip(&address, &out);
    assert_slices(text_slice(&out), slice_of_text(ip));
}

static void addresses_are_read_and_written(void **state)
{
    (void)state;
    check_format("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1");
    check_format("[::1]:65535", "[::1]:65535", "::1");
    check_format(":0", "[::]:0", "::");
    check_format("[::ffff:10.0.0.1]:80", "10.0.0.1:80", "10.0.0.1");
    check_format("[2001:DB8:0:0::1]:1", "[2001:db8::1]:1", "2001:db8::1");
    check_format("unix:/run/x.sock", "unix:/run/x.sock", "unix");
    check_format("unix:@hidden", "unix:@hidden", "unix");
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ":", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "::1:80", "[::1]", "[::1]80", "[::1:80",
        "::1]:80", "[]:80", "[127.0.0.1]:80", "localhost:80", "1.2.3:80", "01.2.3.4:80",
        "1.2.3.4.5:80", "[::g]:80", "*:80", "unix:", "unix:@", "[fe80::1%lo]:80",
        "127.0.0.1:99999999999999999999999"};
    struct address address;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(address_parse(slice_of_text(bad[i]), &address), INVALID);
    assert_status(address_parse(SLICE("127.0.0.1\0:80"), &address), INVALID);
    assert_status(address_parse(SLICE("unix:/a\0b"), &address), INVALID);
}

static void a_unix_path_must_fit(void **state)
{
    (void)state;
    char text[5 + 108];
    struct address address;
    memset(text, 'x', sizeof text);
    memcpy(text, "unix:", 5);
    assert_ok(address_parse(slice_of(text, 5 + 107), &address));
    assert_status(address_parse(slice_of(text, 5 + 108), &address), INVALID);
}

static void ips_without_port(void **state)
{
    (void)state;
    struct address address;
    assert_ok(address_parse_ip(SLICE("10.1.2.3"), 99, &address));
    assert_int_equal(address_port(&address), 99);
    address_set_port(&address, 8080);
    assert_int_equal(address_port(&address), 8080);
    assert_ok(address_parse_ip(SLICE("fd00::1"), 7, &address));
    address_set_port(&address, 8080);
    assert_int_equal(address_port(&address), 8080);
    assert_status(address_parse_ip(SLICE("10.1.2.3:80"), 0, &address), INVALID);
    assert_status(address_parse_ip(SLICE(""), 0, &address), INVALID);
    address = parsed("unix:/x");
    address_set_port(&address, 1);
    assert_int_equal(address_port(&address), 0);
}

static bool equal(const char *a, const char *b)
{
    struct address x = parsed(a), y = parsed(b);
    return address_equal(&x, &y);
}

static void addresses_compare(void **state)
{
    (void)state;
    assert_true(equal("1.2.3.4:5", "1.2.3.4:5"));
    assert_false(equal("1.2.3.4:5", "1.2.3.4:6"));
    assert_false(equal("1.2.3.4:5", "1.2.3.5:5"));
    assert_true(equal("[::1]:5", "[0:0::1]:5"));
    assert_false(equal("[::1]:5", "[::2]:5"));
    assert_false(equal("0.0.0.0:5", "[::]:5"));
    assert_true(equal("unix:/a", "unix:/a"));
    assert_false(equal("unix:/a", "unix:/ab"));
    assert_false(equal("unix:/a", "unix:@a"));
}

static bool contains(const char *network_text, const char *ip)
{
    struct network network;
    struct address address;
    assert_ok(network_parse(slice_of_text(network_text), &network));
    assert_ok(address_parse_ip(slice_of_text(ip), 0, &address));
    return network_contains(&network, &address);
}

static void networks_contain(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.0.1"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0"));
    assert_true(contains("10.1.2.3/8", "10.9.9.9"));
    assert_true(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
    assert_true(contains("192.168.4.0/22", "192.168.7.255"));
    assert_false(contains("192.168.4.0/22", "192.168.8.0"));
    assert_true(contains("0.0.0.0/0", "255.255.255.255"));
    assert_false(contains("0.0.0.0/0", "2001:db8::"));
    assert_true(contains("::/0", "2001:db8::"));
    assert_true(contains("fd00::/9", "fd7f::"));
    assert_false(contains("fd00::/9", "fd80::"));
    assert_true(contains("::1", "::1"));
    assert_false(contains("::1", "::2"));
    assert_true(contains("127.0.0.1", "127.0.0.1"));
    static const char *const bad[] = {"", "/", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/x",
        "10.0.0.0/8/8", "a/8", "10/8", "::/0001", "unix:/x"};
    struct network network;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_status(network_parse(slice_of_text(bad[i]), &network), INVALID);
    struct address local = parsed("unix:/x");
    assert_ok(network_parse(SLICE("::/0"), &network));
    assert_false(network_contains(&network, &local));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_unix_path_must_fit),
        cmocka_unit_test(ips_without_port),
        cmocka_unit_test(addresses_compare),
        cmocka_unit_test(networks_contain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
