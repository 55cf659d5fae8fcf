/* What one may write about how endpoints are chosen, and what is said about what one may not. */
#include "service/balance_options.h"

#include "balance/key_hash.h"
#include "service/service.h"
#include "support/service_text.h"

#include <stdio.h>

static void test_defaults(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "10.0.0.1:80");
    assert_string_equal(service_balancer(&r.options)->name, "least-requests");
    assert_null(r.options.balance.key);
    assert_int_equal(r.options.balance.settings.choices, 2);
    assert_true(r.options.balance.settings.bias == 1);
    assert_int_equal(r.options.balance.settings.points, 1024);
    assert_int_equal(r.options.balance.settings.most, 1 << 20);
    assert_int_equal(r.options.balance.settings.slots, 65537);
    assert_true(r.options.balance.settings.bound == 0);
    assert_true(r.options.slow_start.time == 10 * SECOND);
    assert_true(r.options.slow_start.aggression == 1);
    assert_int_equal(r.options.zone.at_least, 6);
    assert_true(r.options.zone.least == 0.5);
    assert_false(r.options.sticky.is_set);
    assert_false(r.options.subset.is_set);
    config_end(&r.config);
}

static void test_every_balancer_by_name(void **state)
{
    (void)state;
    for (int i = 0; balancer_names[i]; i++) {
        struct service_text r;
        char yaml[128];
        snprintf(yaml, sizeof yaml, "{at: 10.0.0.1:80, balance: %s%s}", balancer_names[i],
            balancer_types[i]->needs_hash ? " header.x-user" : "");
        service_text_read(&r, yaml);
        assert_int_equal(r.options.balance.by, i);
        assert_true((r.options.balance.key != NULL) == balancer_types[i]->needs_hash);
        config_end(&r.config);
    }
}

static void test_short_forms(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "{at: 10.0.0.1:80, balance: hash cookie.session}");
    assert_string_equal(service_balancer(&r.options)->name, "ring-hash");
    assert_slice(expression_source(r.options.balance.key), "cookie.session");
    config_end(&r.config);
    service_text_read(&r, "{at: 10.0.0.1:80, balance: ip-hash, sticky: cookie, slow-start: 30s, "
                          "zone: eu-west/a, spill: 70%}");
    assert_slice(expression_source(r.options.balance.key), "client.ip");
    assert_true(r.options.sticky.is_set);
    assert_null(r.options.sticky.by);
    assert_slice(r.options.sticky.cookie, "weir-at");
    assert_int_equal(r.options.slow_start.time, 30 * SECOND);
    assert_slice(r.options.zone.own, "eu-west/a");
    assert_true(r.options.spill == 0.7);
    config_end(&r.config);
    service_text_read(&r,
        "{at: [{address: 10.0.0.1:80, labels: {version: v2}}], sticky: cookie at, "
        "subset: version header.x-version}");
    assert_slice(r.options.sticky.cookie, "at");
    assert_slice(r.options.subset.label, "version");
    assert_slice(expression_source(r.options.subset.by), "header.x-version");
    config_end(&r.config);
}

static void test_long_forms(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r,
        "at: [{address: 10.0.0.1:80, tier: 2, zone: b}, {address: 10.0.0.2:80, backup: true}]\n"
        "balance: {by: maglev, key: path, hash: murmur3, seed: 7, slots: 1009, bound: 125%}\n"
        "sticky: {by: header.x-session, timeout: 5m, keys: 1000, logout: path == \"/logout\",\n"
        "         learn: response.header.x-session}\n"
        "slow-start: {time: 10s, aggression: 200%}\n"
        "zone: {own: a, share: 30%, least: 20%, at-least: 1}\n");
    const struct endpoint_options *items = r.options.at.items;
    assert_int_equal(items[0].tier, 2);
    assert_true(items[1].is_backup);
    assert_int_equal(r.options.balance.hash, HASH_MURMUR3);
    assert_int_equal(r.options.balance.seed, 7);
    assert_true(r.options.balance.settings.bound == 1.25);
    assert_int_equal(r.options.balance.settings.slots, 1009);
    assert_int_equal(r.options.sticky.timeout, 300 * SECOND);
    assert_non_null(r.options.sticky.learn);
    assert_true(r.options.slow_start.aggression == 2);
    assert_true(r.options.zone.share == 0.3);
    config_end(&r.config);
}

static const struct malformed malformed[] = {
    {"{at: 10.0.0.1:80, balance: round-robbin}", 1, 28, "no balancer", "\"round-robin\"?"},
    {"{at: 10.0.0.1:80, balance: {by: peek-ewma}}", 1, 33, "peek-ewma", "\"peak-ewma\"?"},
    {"{at: 10.0.0.1:80, balance: random path}", 1, 35, "takes nothing behind its name", NULL},
    {"{at: 10.0.0.1:80, balance: {by: random, key: path}}", 1, 28, "no use for a key", NULL},
    {"{at: 10.0.0.1:80, balance: maglev}", 1, 28, "needs an expression", "cookie.session"},
    {"{at: 10.0.0.1:80, balance: maglev headr.x}", 1, 35, "headr", NULL},
    {"{at: 10.0.0.1:80, balance: {by: random, bound: 125%}}", 1, 28, "needs no bound", NULL},
    {"{at: 10.0.0.1:80, balance: {by: ip-hash, bound: 80%}}", 1, 28, "100% or more", NULL},
    {"{at: 10.0.0.1:80, balance: {by: ip-hash, hash: md6}}", 1, 48, "md6", "md5"},
    {"{at: 10.0.0.1:80, subset: version}", 1, 27, "a label and an expression", NULL},
    {"{at: 10.0.0.1:80, subset: version path}", 1, 1, "no endpoint has the label", "labels:"},
    {"{at: 10.0.0.1:80, sticky: cookie a b}", 1, 27, "the name of a cookie", NULL},
    {"{at: 10.0.0.1:80, sticky: cooky}", 1, 27, "cooky", NULL},
    {"{at: 10.0.0.1:80, sticky: {learn: response.header.x}}", 1, 27, "needs `by`", NULL},
    {"{at: 10.0.0.1:80, sticky: {by: client.ip, timeout: 0s}}", 1, 27, "must be forgotten", NULL},
    {"{at: 10.0.0.1:80, zone: {own: a, share: 120%}}", 1, 41, "at most 100%", NULL},
};

static void test_malformed(void **state)
{
    (void)state;
    assert_malformed(&service_table, malformed);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_balancer_by_name),
        cmocka_unit_test(test_short_forms),
        cmocka_unit_test(test_long_forms),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
