/* What one may write about versions, and what is said about what one may not. */
#include "service/service.h"
#include "support/service_text.h"

#include <stdio.h>

static const struct version_options *version(const struct service_text *r, size_t i)
{
    assert_true(i < r->options.release.count);
    return &r->options.release.versions[i];
}

static struct slice place_of(const struct service_text *r, size_t i)
{
    return ((const struct endpoint_options *)version(r, i)->service->at.items)->at.text;
}

static void test_shares(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(
        &r, "versions: {v1: 10.0.0.1:80, v2: {at: [10.0.0.2:80, 10.0.0.3:80], share: 10%}}");
    assert_slice(version(&r, 0)->name, "v1");
    assert_true(version(&r, 0)->share == 0.9);
    assert_false(version(&r, 0)->has_share);
    assert_slice(place_of(&r, 0), "10.0.0.1:80");
    assert_true(version(&r, 1)->share == 0.1);
    assert_int_equal(version(&r, 1)->service->at.count, 2);
    assert_null(version(&r, 1)->service->release.when);
    assert_slice(r.options.release.stay.cookie, "weir-user");
    config_end(&r.config);
    service_text_read(
        &r, "versions: {a: 10.0.0.1:80, b: 10.0.0.2:80, c: {at: 10.0.0.3:80, share: 50%}}");
    assert_true(version(&r, 0)->share == 0.25 && version(&r, 1)->share == 0.25);
    config_end(&r.config);
    service_text_read(
        &r, "versions: {a: 10.0.0.1:80, b: {at: 10.0.0.2:80, when: header.x-canary}}");
    assert_true(version(&r, 0)->share == 1 && version(&r, 1)->share == 0);
    assert_non_null(version(&r, 1)->service->release.when);
    config_end(&r.config);
    service_text_read(
        &r, "versions: {a: {at: 10.0.0.1:80, share: 30%}, b: {at: 10.0.0.2:80, share: 70%}}");
    assert_true(version(&r, 0)->share == 0.3 && version(&r, 1)->share == 0.7);
    config_end(&r.config);
}

static void test_defaults_stand_beside(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r,
        "{timeout: 3s, connections: 7, balance: random, at: 10.0.0.9:80, versions: "
        "{v1: {at: 10.0.0.1:80}, v2: {at: 10.0.0.2:80, timeout: {connect: 1s}}, v3: }}");
    assert_int_equal(version(&r, 0)->service->timeout.first_byte, 3 * SECOND);
    assert_int_equal(version(&r, 0)->service->connections.max, 7);
    assert_int_equal(version(&r, 1)->service->timeout.first_byte, 30 * SECOND);
    assert_int_equal(version(&r, 1)->service->timeout.connect, SECOND);
    assert_slice(place_of(&r, 1), "10.0.0.2:80");
    assert_slice(place_of(&r, 2), "10.0.0.9:80");
    assert_string_equal(service_balancer(version(&r, 2)->service)->name, "random");
    config_end(&r.config);
}

static const struct stay_options *stay(struct service_text *r, const char *text)
{
    char yaml[200];
    snprintf(yaml, sizeof yaml, "{versions: {v1: 10.0.0.1:80}, stay: %s}", text);
    service_text_read(r, yaml);
    return &r->options.release.stay;
}

static void test_stay(void **state)
{
    (void)state;
    struct service_text r;
    assert_slice(expression_source(stay(&r, "header.x-user")->by), "header.x-user");
    assert_int_equal(r.options.release.stay.cookie.size, 0);
    config_end(&r.config);
    assert_slice(stay(&r, "cookie")->cookie, "weir-user");
    assert_int_equal(r.options.release.stay.time, 30 * DAY);
    config_end(&r.config);
    assert_slice(stay(&r, "cookie mine")->cookie, "mine");
    config_end(&r.config);
    assert_true(stay(&r, "none")->is_off);
    assert_int_equal(r.options.release.stay.cookie.size, 0);
    config_end(&r.config);
    assert_slice(stay(&r, "{by: header.x, cookie: c, time: 1h}")->cookie, "c");
    assert_non_null(r.options.release.stay.by);
    config_end(&r.config);
}

static const struct malformed malformed[] = {
    {"versions: 3", 1, 11, "a map of 1 to 16 names", NULL},
    {"{versions: {v1: 10.0.0.1:80}, mirror: a 200%}", 1, 41, "up to 100%", "order.v2 5%"},
    {"{at: 10.0.0.1:80, mirror: {share: 5%}}", 1, 27, "needs \"to\"", NULL},
    {"versions: {}", 1, 11, "a map of 1 to 16 names", NULL},
    {"{versions: {v1: 10.0.0.1:80, v2: {at: 10.0.0.2:80, share: 110%}}}", 1, 59, "", NULL},
    {"{versions: {v1: {at: 10.0.0.1:80, share: 60%}, v2: {at: 10.0.0.2:80, share: 50%}}}", 1, 77,
        "110% together", "gets the rest"},
    {"{versions: {v1: {at: 10.0.0.1:80, share: 60%}, v2: {at: 10.0.0.2:80, share: 30%}}}", 1, 12,
        "no version is left for the other 10%", "share of one of them away"},
    {"{versions: {v1: {at: 10.0.0.1:80, when: header.a}}}", 1, 12, "for the other 100%", NULL},
    {"{versions: {v1: {timeout: 1s}}}", 1, 13, "at least one endpoint", NULL},
    {"{versions: {v.1: 10.0.0.1:80}}", 1, 13, "letters, digits", NULL},
    {"{versions: {v1: {at: 10.0.0.1:80, shar: 10%}}}", 1, 35, "unknown option \"shar\" for version",
        "did you mean \"share\"?"},
    {"{versions: {v1: {at: 10.0.0.1:80, versions: {a: 10.0.0.1:80}}}}", 1, 45, "of its own", NULL},
    {"{at: 10.0.0.1:80, share: 10%}", 1, 26, "only a version has a share", "versions"},
    {"{at: 10.0.0.1:80, judge: errors +1%}", 1, 26, "only a service with versions has a judge",
        NULL},
    {"{judge: errors, versions: {v1: 10.0.0.1:80}}", 1, 9, "errors +1%, p99 +25%", NULL},
    {"{judge: errors +1% or, versions: {v1: 10.0.0.1:80}}", 1, 9, "errors +1%, p99 +25%", NULL},
    {"{judge: errors +1% nor p99 +2%, versions: {v1: 10.0.0.1:80}}", 1, 20, "then may stand", NULL},
    {"{judge: errors +200%, versions: {v1: 10.0.0.1:80}}", 1, 16, "errors +1%, p99 +25%", NULL},
    {"{judge: {errors: 0%, p99: 0%}, versions: {v1: 10.0.0.1:80}}", 1, 9, "never says", NULL},
    {"{judge: errors +1% against b, versions: {v1: 10.0.0.1:80}}", 1, 28, "no version \"b\"", NULL},
    {"{judge: {against: v2}, versions: {v1: 10.0.0.1:80}}", 1, 19, "no version \"v2\"", "v1"},
    {"{judge: errors +1%, versions: {v1: 10.0.0.1:80, v2: 10.0.0.2:80}}", 1, 9,
        "which version is the", "against"},
    {"{at: 10.0.0.1:80, when: header.a}", 1, 25, "only a version has a condition", NULL},
    {"{versions: {v1: 10.0.0.1:80}, stay: cookie a b}", 1, 37, "cannot be the name", NULL},
    {"{versions: {v1: 10.0.0.1:80}, stay: {by: header.}}", 1, 42, "", NULL},
    {"{versions: {v1: {at: 10.0.0.1:80, when: response.status}}}", 1, 41, "", NULL},
    {"{versions: {v1: 10.0.0.1:80}, timeot: 3s}", 1, 31, "unknown", "timeout"},
};

static void test_malformed(void **state)
{
    (void)state;
    assert_malformed(&service_table, malformed);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_defaults_stand_beside),
        cmocka_unit_test(test_stay),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
