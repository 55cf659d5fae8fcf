#include "policy/ip_file.h"

#include <stdio.h>

#include "base/clock.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

static struct address address_of(const char *text)
{
    struct address address;
    assert_ok(address_parse_ip(slice_of_text(text), 0, &address));
    return address;
}

static void lines_are_networks_and_comments(void **state)
{
    (void)state;
    const struct ip_set *set;
    size_t count;
    struct text trouble = text_growing(0);
    assert_ok(ip_file_read(&arena,
        SLICE("# the office\n\n192.0.2.0/24  # "
              "ours\r\n\t198.51.100.7;old\n2001:db8::/32\n;\n10.0.0.0/8"),
        &trouble, &set, &count));
    assert_int_equal(count, 4);
    static const char *const in[] = {
        "192.0.2.77", "198.51.100.7", "2001:db8:1::", "10.255.255.255", "::ffff:192.0.2.1"};
    static const char *const out[] = {"192.0.3.0", "198.51.100.8", "2001:db9::", "11.0.0.0", "::1"};
    for (int i = 0; i < 5; i++) {
        struct address inside = address_of(in[i]), outside = address_of(out[i]);
        assert_true(ip_set_has(set, &inside));
        assert_false(ip_set_has(set, &outside));
    }
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"", "empty"},
        {"10.0.0.0/8\n10.0.0.0/33\n", "line 2: \"10.0.0.0/33\" is no address or network"},
        {"10.0.0.0/8 10.1.0.0/16", "line 1"},
        {"<html>", "line 1: \"<html>\""},
        {"10.0.0.0/8\n\"x\x01\n", "line 2: \"\\\"x\\u0001\""},
        {"10.0.0/8", "line 1"},
        {"10.0.0.0/", "line 1"},
        {"10.0.0.1-10.0.0.9", "line 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[WATCHED_TROUBLE_MAX + 1] = "";
        const struct ip_set *set;
        size_t count;
        struct text trouble = text_fixed(room, sizeof room - 1);
        assert_status(
            ip_file_read(&arena, slice_of_text(rows[i].text), &trouble, &set, &count), INVALID);
        assert_non_null(strstr(room, rows[i].said));
    }
}

/* A million networks, in no order; each is found, what lies between them is not. */
static void a_million_are_read_and_asked(void **state)
{
    (void)state;
    enum { MANY = 1000000 };
    struct text text = text_growing(0), trouble = text_growing(0);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t n = (uint32_t)((uint64_t)i * 700001 % MANY) << 12; /* each a /24 in a /20 */
        text_format(&text, "%u.%u.%u.0/24\n", n >> 24, n >> 16 & 255, n >> 8 & 255);
    }
    const struct ip_set *set;
    size_t count;
    instant began = clock_now();
    assert_ok(ip_file_read(&arena, text_slice(&text), &trouble, &set, &count));
    instant read = clock_now();
    assert_int_equal(count, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        struct address address = address_of("0.0.0.0");
        uint32_t n = i << 12;
        address.v4.sin_addr.s_addr = htonl(n | 77);
        assert_true(ip_set_has(set, &address));
        address.v4.sin_addr.s_addr = htonl(n | 0x100);
        assert_false(ip_set_has(set, &address));
    }
    print_message("%d networks: read in %lld ms, %lld ns for a look\n", MANY,
        (long long)((read - began) / MILLISECOND), (long long)((clock_now() - read) / MANY / 2));
    text_release(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_are_networks_and_comments),
        TEST(what_is_wrong_is_told_with_its_line),
        TEST(a_million_are_read_and_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
