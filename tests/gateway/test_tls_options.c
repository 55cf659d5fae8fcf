/* What one may write under `tls:`, and what is said about what one may not. */
#include "gateway/tls_options.h"

#include "run/tls.h"
#include "support/config.h"

struct read {
    struct config config;
    struct tls_options options;
};

static void read_clean(struct read *r, const char *yaml)
{
    config_read_clean(&r->config, yaml, &tls_table, &r->options);
}

static const struct tls_pair_options *pair(const struct read *r, size_t i)
{
    return (const struct tls_pair_options *)r->options.certificates.items + i;
}

static void test_one(void **state)
{
    (void)state;
    static const char *const forms[] = {"{cert: a.pem, key: a.key}", "[{cert: a.pem, key: a.key}]",
        "certificates: {cert: a.pem, key: a.key}", "certificates: [{cert: a.pem, key: a.key}]"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct read r;
        read_clean(&r, forms[i]);
        assert_true(r.options.is_set);
        assert_int_equal(r.options.certificates.count, 1);
        assert_slice(pair(&r, 0)->cert, "a.pem");
        assert_slice(pair(&r, 0)->key, "a.key");
        assert_int_equal(pair(&r, 0)->client, TLS_NOT_ASKED);
        assert_int_equal(r.options.least, TLS_1_2);
        config_end(&r.config);
    }
}

/* What stands beside the list holds for those that say nothing. */
static void test_common(void **state)
{
    (void)state;
    struct read r;
    read_clean(&r,
        "{cert: own.pem, key: own.key, client-cert: required, ca: staff.pem, ocsp: fetch, "
        "min-version: \"1.3\", certificates: [{cert: b.pem, key: b.key}, "
        "{cert: c.pem, key: c.key, client-cert: none, ocsp: off, "
        "hosts: [A.example, \"*.B.example\"]}]}");
    assert_int_equal(r.options.certificates.count, 3);
    assert_int_equal(r.options.least, TLS_1_3);
    assert_slice(pair(&r, 0)->cert, "own.pem");
    assert_int_equal(pair(&r, 1)->client, TLS_REQUIRED);
    assert_slice(pair(&r, 1)->ca, "staff.pem");
    assert_slice(pair(&r, 1)->ocsp, "fetch");
    assert_int_equal(pair(&r, 2)->client, TLS_NOT_ASKED);
    assert_slice(pair(&r, 2)->ocsp, "off");
    const struct slice *hosts = pair(&r, 2)->hosts.items;
    assert_int_equal(pair(&r, 2)->hosts.count, 2);
    assert_slice(hosts[0], "a.example");
    assert_slice(hosts[1], "*.b.example");
    config_end(&r.config);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct malformed wrong[] = {
        {"{}", 1, 1, "needs `cert` and `key`", "shop.pem"},
        {"cert: a.pem", 1, 1, "needs `cert` and `key`", NULL},
        {"[{cert: a.pem, key: a.key}, {key: b.key}]", 1, 29, "needs `cert` and `key`", NULL},
        {"a.pem", 1, 1, "certificate", "cert:"},
        {"{cert: a, key: b, client-cert: maybe}", 1, 32, "cannot be \"maybe\"", "optional"},
        {"{cert: a, key: b, client-cert: optional}", 1, 32, "needs `ca`", "ca:"},
        {"{cert: a, key: b, min-version: \"1.1\"}", 1, 32, "cannot be \"1.1\"", "1.2"},
        {"{cert: a, key: b, hosts: [\"a b\"]}", 1, 27, "not the name of a host", "shop.example"},
        {"{cert: a, key: b, hosts: [\"*\"]}", 1, 27, "not the name of a host", NULL},
        {"{cert: a, kye: b}", 1, 11, "unknown option \"kye\"", "did you mean \"key\"?"},
    };
    assert_malformed(&tls_table, wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_common),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
