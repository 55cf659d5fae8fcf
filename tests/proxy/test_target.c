/* Patterns of a forward proxy's targets. */
#include "proxy/target.h"

#include "support/config.h"

struct list {
    struct option_list to;
};

static const struct option rows[] = {
    {"to", OPTION_LIST, offsetof(struct list, to), .item = &proxy_target_option,
        .item_size = sizeof(struct proxy_pattern), .help = "Targets."},
    {NULL}};
static const struct option_table table = {.name = "proxy",
    .help = "A proxy.",
    .options = rows,
    .size = sizeof(struct list),
    .shorthand = "to"};

struct targets {
    struct config config;
    struct list list;
};

static void make(struct targets *t, const char *yaml)
{
    config_read_clean(&t->config, yaml, &table, &t->list);
}

static enum proxy_leave look(
    const struct targets *t, const char *host, uint16_t port, bool is_tunnel)
{
    struct proxy_target target = {slice_of_text(host), port, is_tunnel};
    return proxy_targets_look(&t->list.to, &target);
}

static bool have(const struct targets *t, const char *where)
{
    struct address address;
    assert_ok(address_parse(slice_of_text(where), &address));
    struct proxy_target target = {SLICE("x"), address_port(&address), true};
    return proxy_targets_have(&t->list.to, &target, &address);
}

static bool mean(const struct targets *t, const char *where)
{
    struct address address;
    assert_ok(address_parse(slice_of_text(where), &address));
    return proxy_targets_mean(&t->list.to, &address);
}

static void names_and_what_is_below_them(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "[API.Example.com., \"*.shop.example\"]");
    assert_int_equal(look(&t, "api.example.com", 443, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "xapi.example.com", 443, true), PROXY_NEVER);
    assert_int_equal(look(&t, "a.api.example.com", 443, true), PROXY_NEVER);
    assert_int_equal(look(&t, "a.shop.example", 443, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a.b.shop.example", 443, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "shop.example", 443, true), PROXY_NEVER);
    assert_int_equal(look(&t, "ashop.example", 443, true), PROXY_NEVER);
    assert_int_equal(look(&t, ".shop.example", 443, true), PROXY_NEVER);
    config_end(&t.config);
}

static void usual_ports(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "a.example");
    assert_int_equal(look(&t, "a.example", 443, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a.example", 80, true), PROXY_NEVER);
    assert_int_equal(look(&t, "a.example", 80, false), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a.example", 443, false), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a.example", 25, false), PROXY_NEVER);
    config_end(&t.config);
}

static void ports_that_are_named(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "[\"a.example:8443\", \"b.example:8000-8002\", \"c.example:*\", \"[::1]:9-9\"]");
    assert_int_equal(look(&t, "a.example", 8443, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a.example", 443, true), PROXY_NEVER);
    for (uint16_t port = 7999; port <= 8003; port++)
        assert_int_equal(look(&t, "b.example", port, true),
            port >= 8000 && port <= 8002 ? PROXY_BY_NAME : PROXY_NEVER);
    assert_int_equal(look(&t, "c.example", 1, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "c.example", 65535, false), PROXY_BY_NAME);
    assert_true(have(&t, "[::1]:9"));
    assert_false(have(&t, "[::1]:10"));
    config_end(&t.config);
}

static void networks_whatever_name_leads_there(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "[\"10.0.0.0/8:*\", \"[fd00::/8]:5432\", \"fe80::1\", \"private:22\", \"192.0.2.1\"]");
    assert_int_equal(look(&t, "db.example", 5432, true), PROXY_BY_ADDRESS);
    assert_true(have(&t, "10.1.2.3:1"));
    assert_true(have(&t, "[::ffff:10.1.2.3]:1"));
    assert_false(have(&t, "11.0.0.1:443"));
    assert_true(have(&t, "[fd12::1]:5432"));
    assert_false(have(&t, "[fd12::1]:5433"));
    assert_true(have(&t, "[fe80::1]:443"));
    assert_true(have(&t, "192.168.3.4:22") && have(&t, "172.16.0.1:22"));
    assert_true(have(&t, "192.0.2.1:443"));
    config_end(&t.config);
}

static void anything_but_odd_numbers(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "\"*:*\"");
    assert_int_equal(look(&t, "a.example", 1, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "8.8.8.8", 1, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "::1", 1, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "a1", 1, true), PROXY_BY_NAME);
    assert_int_equal(look(&t, "0xg", 1, true), PROXY_BY_NAME);
    static const char *const odd[] = {"2130706433", "127.1", "0x7f000001", "0x7f.0.0.1",
        "0177.0.0.1", "1.2.3.256", "a.1", "a.0x1f", "0x", "1.2.3.4.5", "00000000000"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (look(&t, odd[i], 1, true) != PROXY_NEVER)
            fail_msg("%s is let through", odd[i]);
    config_end(&t.config);
}

static void what_means_one_address(void **state)
{
    struct targets t;
    (void)state;
    make(&t, "[\"127.0.0.1:8080\", \"10.0.0.0/8:80\", \"192.0.2.1:*\", \"[::1]:70-71\"]");
    assert_true(mean(&t, "127.0.0.1:8080"));
    assert_false(mean(&t, "127.0.0.1:8081"));
    assert_false(mean(&t, "10.0.0.1:80"));
    assert_false(mean(&t, "192.0.2.1:80"));
    assert_false(mean(&t, "[::1]:70"));
    config_end(&t.config);
}

static void what_is_no_target(void **state)
{
    static const struct malformed cases[] = {
        {"[\"a b\"]", 1, 2, "\"a b\" is not a host", "for example"},
        {"[a.example, \"*.\"]", 1, 13, "\"*.\" is not a host", NULL},
        {"[\"a.*.example\"]", 1, 2, "is not a host", NULL},
        {"[\"u@a.example\"]", 1, 2, "is not a host", NULL},
        {"[\"a.example:0\"]", 1, 2, "\"0\" is not a port", "65535"},
        {"[\"a.example:65536\"]", 1, 2, "\"65536\" is not a port", NULL},
        {"[\"a.example:2-1\"]", 1, 2, "\"2-1\" is not a port", NULL},
        {"[\"a.example:1-\"]", 1, 2, "\"1-\" is not a port", NULL},
        {"[\"a.example:https\"]", 1, 2, "\"https\" is not a port", NULL},
        {"[\"a.example:\"]", 1, 2, "is not a target", NULL},
        {"[\":443\"]", 1, 2, "is not a target", NULL},
        {"[\"[::1\"]", 1, 2, "is not a target", NULL},
        {"[\"[::1]443\"]", 1, 2, "is not a target", NULL},
        {"[\"[]:443\"]", 1, 2, "is not a target", NULL},
        {"[\"10.0.0.0/33\"]", 1, 2, "this is no network", NULL},
        {"[\"fd00::/8:443\"]", 1, 2, "this is no network", NULL},
        {"[{a: b}]", 1, 2, "a target is text", NULL},
    };
    (void)state;
    assert_malformed(&table, cases);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_what_is_below_them),
        cmocka_unit_test(usual_ports),
        cmocka_unit_test(ports_that_are_named),
        cmocka_unit_test(networks_whatever_name_leads_there),
        cmocka_unit_test(anything_but_odd_numbers),
        cmocka_unit_test(what_means_one_address),
        cmocka_unit_test(what_is_no_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
