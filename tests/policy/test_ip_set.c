#include "policy/ip_set.h"

#include <stdio.h>

#include "support/arena_fixture.h"
#include "support/unit.h"

static struct address address_of(const char *text)
{
    struct address address;
    assert_ok(address_parse_ip(slice_of_text(text), 0, &address));
    return address;
}

static void an_empty_set_has_nobody(void **state)
{
    (void)state;
    const struct ip_set *set;
    struct address address = address_of("::");
    assert_ok(ip_set_build(&arena, &(struct network_list){NULL, 0}, &set));
    assert_false(ip_set_has(set, &address));
}

static void networks_in_networks_are_one(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "10.1.0.0/16", "10.0.0.0/8", "10.1.2.3", "10.255.0.0/16", "0.0.0.0/32", "255.255.255.255"};
    struct network networks[6];
    for (int i = 0; i < 6; i++)
        assert_ok(network_parse(slice_of_text(texts[i]), &networks[i]));
    const struct ip_set *set;
    assert_ok(ip_set_build(&arena, &(struct network_list){networks, 6}, &set));
    static const char *const in[] = {
        "10.0.0.0", "10.1.2.3", "10.200.0.0", "10.255.255.255", "0.0.0.0", "255.255.255.255"};
    static const char *const out[] = {
        "9.255.255.255", "11.0.0.0", "0.0.0.1", "255.255.255.254", "::", "::1"};
    for (int i = 0; i < 6; i++) {
        struct address inside = address_of(in[i]), outside = address_of(out[i]);
        assert_true(ip_set_has(set, &inside));
        assert_false(ip_set_has(set, &outside));
    }
}

/* Ten thousand networks, each answer compared with asking them one by one. */
static void it_says_what_asking_each_network_says(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct network *networks = arena_array(&arena, MANY, sizeof *networks);
    uint32_t seed = 1;
    for (int i = 0; i < MANY; i++) {
        char text[32];
        seed = seed * 1664525 + 1013904223;
        snprintf(text, sizeof text, "%u.%u.%u.0/%u", seed >> 24, seed >> 16 & 255, seed >> 8 & 255,
            24 + (seed & 7));
        assert_ok(network_parse(slice_of_text(text), &networks[i]));
    }
    const struct ip_set *set;
    assert_ok(ip_set_build(&arena, &(struct network_list){networks, MANY}, &set));
    unsigned inside = 0;
    for (int i = 0; i < 2000; i++) {
        char text[32];
        seed = seed * 1664525 + 1013904223;
        const unsigned char *base = networks[seed % MANY].bytes;
        snprintf(text, sizeof text, "%u.%u.%u.%u", base[12], base[13], base[14], seed >> 24);
        struct address address = address_of(text);
        bool expected = false;
        for (int n = 0; n < MANY && !expected; n++)
            expected = network_contains(&networks[n], &address);
        assert_int_equal(ip_set_has(set, &address), expected);
        inside += expected;
    }
    assert_in_range(inside, 100, 1900);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(an_empty_set_has_nobody),
        EACH(networks_in_networks_are_one),
        EACH(it_says_what_asking_each_network_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
