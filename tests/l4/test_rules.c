/* Which way a connection takes, by what its client asks for. */
#include "l4/rules.h"

#include "support/config.h"

/* There are no services here: names are what is looked at. */
static const struct service *find_any(void *argument, struct slice name)
{
    (void)argument;
    (void)name;
    return NULL;
}

static struct slice none_alike(void *argument, struct slice name)
{
    (void)argument;
    return slice_equal(name, SLICE("shpo")) ? SLICE("shop") : SLICE_NONE;
}

static const struct network_list nobody = {NULL, 0};

struct rules {
    struct config config;
    struct tcp_options options;
    const struct tcp_rules *made;
};

static void make(struct rules *r, const char *yaml)
{
    memset(r, 0, sizeof *r);
    config_read_clean(&r->config, yaml, &tcp_table, &r->options);
    struct l4_prepare prepare = {.reader = &r->config.reader,
        .trusted = &nobody,
        .find_service = find_any,
        .similar_service = none_alike};
    assert_ok(tcp_rules_prepare(&prepare, SLICE(":8443"), &r->options, &r->made));
}

static struct client_hello hello_of(const char *name, struct slice protocols)
{
    struct client_hello hello = {.name_size = strlen(name), .protocols_size = protocols.size};
    memcpy(hello.name, name, hello.name_size);
    if (protocols.size)
        memcpy(hello.protocols, protocols.data, protocols.size);
    return hello;
}

static void services_that_are_not_there_are_named(void **state)
{
    (void)state;
    struct rules r;
    make(&r, "{sni: {a.example: shpo, else: web}}");
    static const struct malformed wanted = {
        NULL, 1, 19, "there is no service \"shpo\"", "did you mean \"shop\"?"};
    assert_true(config_complains(&r.config, &wanted));
    config_end(&r.config);
}

static void datagrams_need_one_that_is_there_too(void **state)
{
    (void)state;
    struct config config;
    struct udp_options options;
    const struct udp_rules *rules;
    config_read_clean(&config, "{to: shpo}", &udp_table, &options);
    struct l4_prepare prepare = {.reader = &config.reader,
        .trusted = &nobody,
        .find_service = find_any,
        .similar_service = none_alike};
    assert_ok(udp_rules_prepare(&prepare, SLICE(":53"), &options, &rules));
    static const struct malformed wanted = {
        NULL, 1, 6, "there is no service \"shpo\"", "did you mean \"shop\"?"};
    assert_true(config_complains(&config, &wanted));
    config_end(&config);
}

static void names_find_their_way(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *key; /* as it is kept; NULL: `else` */
        bool is_wildcard;
    } cases[] = {{"a.example", "a.example", false}, {"x.b.example", "b.example", true},
        {"y.x.b.example", "x.b.example", true}, {"z.y.b.example", "b.example", true},
        {"b.example", NULL, false}, {"a.example.org", NULL, false}, {"", NULL, false}};
    struct rules r;
    make(&r, "{sni: {A.Example.: w, \"*.b.example\": w, \"*.x.b.example\": w, else: w}}");
    assert_int_equal(r.made->names.count, 1);
    assert_int_equal(r.made->wildcards.count, 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct l4_name *wanted = r.made->otherwise;
        struct slice key = slice_of_text(cases[i].key);
        if (key.data)
            wanted = table_get(cases[i].is_wildcard ? &r.made->wildcards : &r.made->names, key);
        assert_non_null(wanted);
        struct slice name = slice_of_text(cases[i].name);
        const struct l4_name *found = tcp_rules_name(r.made, name);
        assert_ptr_equal(found, wanted);
    }
    config_end(&r.config);
}

static void protocols_choose_in_the_file_s_order(void **state)
{
    (void)state;
    struct rules r;
    make(&r, "{sni: {a.example: {else: e, h2: two, http/1.1: one}, b.example: {h2: two}}}");
    const struct l4_name *name = tcp_rules_name(r.made, SLICE("a.example"));
    assert_int_equal(name->count, 3);
    assert_slice(name->choices[0].protocol, "h2");
    assert_slice(name->choices[1].protocol, "http/1.1");
    assert_int_equal(name->choices[2].protocol.size, 0);
    struct client_hello hello = hello_of("b.example", SLICE("\x08http/1.1"));
    assert_null(tcp_rules_find(r.made, &hello));
    config_end(&r.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_that_are_not_there_are_named),
        cmocka_unit_test(datagrams_need_one_that_is_there_too),
        cmocka_unit_test(names_find_their_way),
        cmocka_unit_test(protocols_choose_in_the_file_s_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
