/* Trying again: what is tried again, where, when, and how often at most. */
#include "service/retry.h"

#include "base/registry.h"
#include "run/loop.h"
#include "service/retry_budget.h"
#include "support/service_rig.h"
#include "support/service_text.h"
#include "support/on_loop.h"

#include <stdio.h>

static void assert_contains(struct slice text, const char *part)
{
    if (slice_find_slice(text, slice_of_text(part)) == text.size)
        fail_msg("there is no %s", part);
}

static uint64_t metric_of(struct slice text, const char *name)
{
    size_t at = slice_find_slice(text, slice_of_text(name));
    struct slice rest = slice_from(text, at + strlen(name));
    uint64_t value = 0;
    assert_true(at < text.size && slice_to_u64(slice_head(rest, slice_find(rest, '\n')), &value));
    return value;
}

/* --- options */

static void check_policy(const char *retry, const char *expected)
{
    struct service_text r;
    char yaml[256], room[512];
    struct text text = text_fixed(room, sizeof room);
    snprintf(
        yaml, sizeof yaml, "{at: 10.0.0.1:80%s%s}", retry ? ", retry: " : "", retry ? retry : "");
    service_text_read(&r, yaml);
    retry_explain(&r.options.retry.rule, &text);
    assert_slices(text_slice(&text), slice_of_text(expected));
    config_end(&r.config);
}

static void test_what_one_may_write(void **state)
{
    (void)state;
    check_policy(NULL, "2 if connect-error|refused-stream|reset|closed");
    check_policy("off", "off");
    check_policy("0", "off");
    check_policy("1", "1 if connect-error|refused-stream|reset|closed");
    check_policy("2 if connect-error", "2 if connect-error");
    check_policy("3 if 503|connect-error or timeout", "3 if connect-error|timeout|503");
    check_policy("1 if gateway-error", "1 if 502|503|504");
    check_policy("1 if 5xx 429", "1 if 5xx|429");
    check_policy("{times: 1, if: [unavailable, 503]}", "1 if unavailable|503");
    check_policy("{if: closed}", "2 if closed");
}

static void test_what_one_may_not(void **state)
{
    (void)state;
    static const struct malformed malformed[] = {
        {"{at: 10.0.0.1:80, retry: often}", 1, 26, "how often"},
        {"{at: 10.0.0.1:80, retry: 6}", 1, 26, "how often"},
        {"{at: 10.0.0.1:80, retry: 2 when closed}", 1, 28, "if"},
        {"{at: 10.0.0.1:80, retry: 2 if lost}", 1, 31, "no condition"},
        {"{at: 10.0.0.1:80, retry: 2 if 503|403}", 1, 35, "not tried again"},
        {"{at: 10.0.0.1:80, retry: 2 if 200}", 1, 31, "400 to 599"},
        {"{at: 10.0.0.1:80, retry: {if: [503, x]}}", 1, 37, "no condition"}};
    assert_malformed(&service_table, malformed);
}

/* --- numbers */

static void test_backoff(void **state)
{
    (void)state;
    struct backoff_options backoff = {.base = 25 * MILLISECOND};
    assert_int_equal(retry_backoff_bound(&backoff, 1), 25 * MILLISECOND);
    assert_int_equal(retry_backoff_bound(&backoff, 2), 75 * MILLISECOND);
    assert_int_equal(retry_backoff_bound(&backoff, 3), 175 * MILLISECOND);
    assert_int_equal(retry_backoff_bound(&backoff, 4), 250 * MILLISECOND);
    assert_int_equal(retry_backoff_bound(&backoff, 5), 250 * MILLISECOND);
    backoff.max = 10 * MILLISECOND;
    assert_int_equal(retry_backoff_bound(&backoff, 1), 10 * MILLISECOND);
}

static void test_retry_after(void **state)
{
    (void)state;
    int64_t wall = 784111777 * SECOND + SECOND / 2;
    assert_int_equal(retry_after_parse(SLICE("2"), wall), 2 * SECOND);
    assert_int_equal(retry_after_parse(SLICE("0"), wall), 0);
    assert_int_equal(retry_after_parse(SLICE("-1"), wall), 0);
    assert_int_equal(retry_after_parse(SLICE("soon"), wall), 0);
    assert_int_equal(retry_after_parse(SLICE("99999999999999"), wall), DAY);
    assert_int_equal(
        retry_after_parse(SLICE("Sun, 06 Nov 1994 08:49:39 GMT"), wall), 3 * SECOND / 2);
    assert_int_equal(retry_after_parse(SLICE("Sun, 06 Nov 1994 08:49:36 GMT"), wall), 0);
}

/* --- the budget */

static struct retry_budget *obtain(struct registry *registry)
{
    struct retry_budget *budget;
    assert_ok(retry_budget_obtain(registry, SLICE("demo"), &budget));
    return budget;
}

static int take_all(struct retry_budget *budget, const struct budget_options *options, instant now)
{
    int taken = 0;
    while (taken < 10000 && retry_budget_take(budget, options, now))
        taken++;
    return taken;
}

static void test_budget(void **state)
{
    (void)state;
    static const struct budget_options options = {.share = 0.2, .least = 3};
    struct registry *registry = registry_new();
    struct retry_budget *budget = obtain(registry);
    instant now = 100 * SECOND;
    assert_int_equal(take_all(budget, &options, now), 30); /* three a second */
    for (int i = 0; i < 1000; i++)
        retry_budget_note(budget, now);
    assert_int_equal(take_all(budget, &options, now), 170); /* 200 of 1000, those before too */
    for (int i = 0; i < 200; i++)
        retry_budget_return(budget);
    assert_int_equal(take_all(budget, &options, now), 0);
    /* The window moves on: what was ten seconds ago counts no more. */
    for (int i = 0; i < 500; i++)
        retry_budget_note(budget, now + 9 * SECOND);
    assert_int_equal(take_all(budget, &options, now + 9 * SECOND), 100); /* 300 of 1500 */
    assert_int_equal(take_all(budget, &options, now + 10 * SECOND), 0);  /* 100 of 500 */
    assert_int_equal(take_all(budget, &options, now + 60 * SECOND), 30);
    registry_release(budget);
    registry_free(registry);
}

static void test_budget_is_kept_by_name(void **state)
{
    (void)state;
    struct registry *registry = registry_new();
    struct retry_budget *one = obtain(registry), *two = obtain(registry);
    assert_ptr_equal(one, two);
    registry_release(one);
    registry_release(two);
    registry_free(registry);
}

/* --- services that fail: each in its own way, until a number of requests has come */

struct failing {
    int times;        /* so often it fails */
    const char *says; /* then; NULL: nothing, it closes */
    int seen;
};

static void serve_failing(struct fake *fake, struct stream *stream, int number)
{
    struct failing *failing = fake->context;
    (void)number;
    while (fake_read(fake, stream)) {
        if (failing->seen++ >= failing->times) {
            fake_answer(stream, 200, "hello");
            continue;
        }
        if (!failing->says)
            return;
        fake_write(stream, failing->says);
    }
}

#define UNAVAILABLE "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"

static struct fake *begin_failing(struct rig *rig, struct failing *failing, const char *retry)
{
    struct fake *fake = rig_fake(rig, serve_failing, failing);
    rig_service(rig, "{at: %s, retry: %s, timeout: 80ms}", fake->text, retry);
    return fake;
}

static void expect_status(struct rig *rig, int status, uint32_t tries)
{
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, status);
    rig_body(rig);
    assert_int_equal(rig->x.facts.tries, tries);
}

static void test_closed(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 2};
    begin_failing(rig, &failing, "2");
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 3);
}

static void test_times_are_counted(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 2};
    begin_failing(rig, &failing, "1");
    assert_status(rig_get(rig, "/"), UPSTREAM_CLOSED);
    assert_int_equal(rig->x.facts.tries, 2);
}

static void test_off(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1};
    begin_failing(rig, &failing, "off");
    assert_status(rig_get(rig, "/"), UPSTREAM_CLOSED);
    assert_int_equal(rig->x.facts.tries, 1);
}

static void test_what_is_not_listed(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1};
    begin_failing(rig, &failing, "2 if connect-error|503");
    assert_status(rig_get(rig, "/"), UPSTREAM_CLOSED);
    failing = (struct failing){.times = 1, .says = UNAVAILABLE};
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 2);
}

static void test_timeout(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1, .says = ""};
    begin_failing(rig, &failing, "1 if timeout");
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 2);
}

/* The connection serves on, since the answer that nobody wanted was here already. */
static void test_statuses(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1, .says = UNAVAILABLE};
    struct fake *fake = begin_failing(rig, &failing, "{times: 2, if: 503, backoff: 1ms}");
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 2);
    assert_int_equal(fake->connections, 1);
    failing = (struct failing){.times = 9, .says = UNAVAILABLE};
    rig_request(rig, "GET", "/");
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 503); /* the last one's answer */
    assert_slice(rig_body(rig), "busy");
    assert_int_equal(rig->x.facts.tries, 3);
}

static void post(struct rig *rig, const char *key)
{
    rig_request(rig, "POST", "/");
    rig_request_body(rig, "once");
    if (key)
        assert_ok(
            fields_add_made(&rig->x.request.fields, FIELD_IDEMPOTENCY_KEY, slice_of_text(key)));
}

static void test_post(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1, .says = UNAVAILABLE};
    begin_failing(rig, &failing, "{if: 503, backoff: 1ms}");
    post(rig, "\"a\"");
    expect_status(rig, 503, 1); /* nothing says that the service knows the key */
    failing.seen = 0;
    begin_failing(rig, &failing, "{if: 503, keyed: true, backoff: 1ms}");
    post(rig, NULL);
    expect_status(rig, 503, 1);
    failing.seen = 0;
    post(rig, "\"a\"");
    expect_status(rig, 200, 2);
    assert_non_null(strstr(rig->fakes[1].last, "once"));
}

static void test_retry_after_is_waited_for(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {
        .times = 1, .says = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"};
    begin_failing(rig, &failing, "{if: 503, retry-after: 2s}");
    instant began = clock_now();
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 2);
    assert_true(clock_now() - began >= SECOND);
    failing.seen = 0;
    failing.says = "HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
    begin_failing(rig, &failing, "{if: 503, retry-after: 500ms, backoff: 1ms}");
    began = clock_now();
    rig_request(rig, "GET", "/");
    expect_status(rig, 200, 2);
    assert_true(clock_now() - began < 30 * SECOND); /* too long a pause is not made */
}

static void test_another_endpoint_first(void **state)
{
    struct rig *rig = *state;
    struct failing bad = {.times = 1000}, good = {0};
    struct fake *first = rig_fake(rig, serve_failing, &bad);
    struct fake *second = rig_fake(rig, serve_failing, &good);
    rig_service(rig, "{at: [%s, %s], retry: {times: 1, backoff: 1ms}, outlier: {failures: 0}}",
        first->text, second->text);
    for (int i = 0; i < 10; i++)
        rig_expect(rig, "hello");
    assert_int_equal(second->requests, 10);
    assert_in_range(first->requests, 1, 10);
}

static void test_a_route_of_its_own(void **state)
{
    static const struct retry_rule never = {.times = 0};
    struct rig *rig = *state;
    struct failing failing = {.times = 1};
    begin_failing(rig, &failing, "2");
    rig_request(rig, "GET", "/");
    rig->x.retry = &never;
    assert_status(rig_call(rig), UPSTREAM_CLOSED);
    assert_int_equal(rig->x.facts.tries, 1);
}

/* Everything fails: what is tried again stays within the share. */
static void test_the_budget_bounds(void **state)
{
    struct rig *rig = *state;
    struct failing failing = {.times = 1000000, .says = UNAVAILABLE};
    struct fake *fake =
        begin_failing(rig, &failing, "{if: 5xx, backoff: 1ms, budget: {share: 20%, least: 0}}");
    for (int i = 0; i < 200; i++) {
        rig_request(rig, "GET", "/");
        assert_ok(rig_call(rig));
        rig_body(rig);
    }
    assert_in_range(fake->requests, 230, 240);
    struct text text = text_growing(0);
    metrics_export(rig->metrics, &text);
    assert_in_range(
        metric_of(text_slice(&text), "weir_retry_budget_exhausted_total{service=\"demo\"} "), 150,
        200);
    assert_contains(
        text_slice(&text), "weir_upstream_retries_total{service=\"demo\",reason=\"503\"} ");
    text_release(&text);
    assert_non_null(strstr(rig_describe(rig), "\"running\":0"));
    /* A reload changes nothing: the budget is the service's. */
    begin_failing(rig, &failing, "{if: 5xx, backoff: 1ms, budget: {share: 10%, least: 0}}");
    rig_request(rig, "GET", "/");
    expect_status(rig, 503, 1);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_one_may_write),
        cmocka_unit_test(test_what_one_may_not), cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_is_kept_by_name), RIG_TEST(test_closed),
        RIG_TEST(test_times_are_counted), RIG_TEST(test_off), RIG_TEST(test_what_is_not_listed),
        RIG_TEST(test_timeout), RIG_TEST(test_statuses), RIG_TEST(test_post),
        RIG_TEST(test_retry_after_is_waited_for), RIG_TEST(test_another_endpoint_first),
        RIG_TEST(test_a_route_of_its_own), RIG_TEST(test_the_budget_bounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
