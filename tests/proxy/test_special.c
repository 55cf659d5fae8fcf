/* Which addresses are the public Internet's. */
#include "proxy/special.h"

#include "support/unit.h"

static bool is_public(const char *text)
{
    struct address address;
    assert_ok(address_parse_ip(slice_of_text(text), 443, &address));
    return address_is_public(&address);
}

static void the_first_and_the_last_of_each_block(void **state)
{
    static const char *const special[] = {"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
        "100.64.0.0", "100.127.255.255", "127.0.0.0", "127.255.255.255", "168.63.129.16",
        "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255",
        "192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.0", "192.168.0.0",
        "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255",
        "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0",
        "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1",
        "2001:1ff:ffff::1", "2001:db8::1", "2001:db8:ffff::1", "2002::1",
        "2002:7f00:1::", "2002:ffff::1", "3fff::1", "3fff:fff::1", "1fff:ffff::1",
        "4000::", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1", "febf::1", "fec0::1",
        "ff00::1", "ff02::1"};
    (void)state;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (is_public(special[i]))
            fail_msg("%s is said to be public", special[i]);
}

static void those_beside_them(void **state)
{
    static const char *const usual[] = {"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17",
        "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
        "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
        "203.0.114.0", "223.255.255.255", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2000::1", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1", "2001:db9::1", "2003::1",
        "2606:4700::1111", "3ffe::1", "3fff:1000::1"};
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (!is_public(usual[i]))
            fail_msg("%s is said not to be public", usual[i]);
}

static void a_path_is_not_public(void **state)
{
    struct address address;
    (void)state;
    assert_ok(address_parse(SLICE("unix:/run/x.sock"), &address));
    assert_false(address_is_public(&address));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_the_last_of_each_block),
        cmocka_unit_test(those_beside_them),
        cmocka_unit_test(a_path_is_not_public),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
