/* What one may write under `listen:` and `admin:`, and what is said about what one may not. */
#include "gateway/listen_options.h"

#include "base/clock.h"
#include "support/config.h"

struct read {
    struct config config;
    struct listen_options options;
};

static void read_clean(struct read *r, const char *yaml)
{
    config_read_clean(&r->config, yaml, &listen_table, &r->options);
}

static const struct listen_address *http(const struct read *r, size_t i)
{
    return (const struct listen_address *)r->options.http.items + i;
}

static void test_short_and_long(void **state)
{
    (void)state;
    static const char *const forms[] = {"\":8080\"", "[\":8080\"]", "http: \":8080\"",
        "http: [\":8080\"]", "http: {address: \":8080\"}", "http: [{address: \":8080\"}]"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct read r;
        read_clean(&r, forms[i]);
        assert_int_equal(r.options.http.count, 1);
        assert_slice(http(&r, 0)->text, ":8080");
        assert_int_equal(address_port(&http(&r, 0)->address), 8080);
        assert_int_equal(http(&r, 0)->place.line, 1);
        config_end(&r.config);
    }
}

static void test_mixed(void **state)
{
    (void)state;
    struct read r;
    read_clean(&r, "[\":80\", {address: \"unix:/run/a.sock\"}]");
    assert_int_equal(r.options.http.count, 2);
    assert_slice(http(&r, 1)->text, "unix:/run/a.sock");
    config_end(&r.config);
}

static void test_https(void **state)
{
    (void)state;
    struct read r;
    read_clean(&r, "{https: \":443\", http: redirect}");
    assert_int_equal(r.options.count, 2);
    assert_slice(r.options.all[0].text, ":80");
    assert_true(r.options.all[0].redirects);
    assert_false(r.options.all[0].is_tls);
    assert_slice(r.options.all[1].text, ":443");
    assert_true(r.options.all[1].is_tls);
    assert_false(r.options.all[1].hsts.is_set);
    config_end(&r.config);
    read_clean(&r, "{https: {address: \":1\", hsts: {max-age: 365d, subdomains: true}}, "
                   "http: {address: \":2\", redirect: true, redirect-port: 443}}");
    assert_int_equal(r.options.all[0].redirect_port, 443);
    assert_true(r.options.all[1].hsts.is_set);
    assert_true(r.options.all[1].hsts.has_subdomains);
    assert_int_equal(r.options.all[1].hsts.max_age, 365 * DAY);
    config_end(&r.config);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct malformed wrong[] = {
        {"http: 8080", 1, 7, "\"8080\" is not an address to listen on", "127.0.0.1:8080"},
        {"http: {address: 8080}", 1, 17, "\"8080\" is not an address to listen on", NULL},
        {"http: {address: [\":80\"]}", 1, 17, "an address is text, not a list", NULL},
        {"http: {adress: \":80\", address: \":81\"}", 1, 8, "unknown option \"adress\"",
            "did you mean \"address\"?"},
        {"http: [{}]", 1, 8, "needs \"address\"", ":8080"},
        {"{}", 1, 1, "there is no address to listen on", NULL},
        {"tcp: {\"5432\": db}", 1, 7, "\"5432\" is not an address to listen on", NULL},
        {"tcp: {\":5432\": {}}", 1, 16, "a TCP listener needs a service", "to: postgres"},
        {"{https: \":1\", http: [\":2\", \"[::]:1\"]}", 1, 9, "two listeners have the address :1",
            NULL},
        {"{http: [\":80\", \":81\", {address: \":80\"}]}", 1, 33, "two listeners have the address",
            NULL},
        {"http: redirect", 1, 7, "needs an address in `https`", "https"},
        {"{https: redirect, http: redirect}", 1, 9, "not an address to listen on", NULL},
        {"{https: {address: \":1\", redirect: true}}", 1, 25, "unknown option", NULL},
        {"http: {address: \":1\", redirect-port: 443}", 1, 38, "but no redirect", "redirect: true"},
        {"https: {address: \":1\", hsts: 5}", 1, 30, "unit", NULL},
        {"https: {address: \":1\", hsts: {subdomains: true}}", 1, 30, "needs \"max-age\"", NULL},
        {"https: {address: \":1\", hsts: {max-age: 30d, preload: true}}", 1, 54, "subdomains",
            "365d"},
    };
    assert_malformed(&listen_table, wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_and_long),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_https),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
