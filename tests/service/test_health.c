/* Who may be asked: active checks, ejection after failures, and what people are told of it. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

#include <stdio.h>

/* How an endpoint is; what serve_as_told goes by. */
struct told {
    int status, health; /* of requests and of checks; 0: closes without an answer */
    int checks;
};

static void serve_as_told(struct fake *fake, struct stream *stream, int number)
{
    struct told *told = fake->context;
    (void)number;
    while (fake_read(fake, stream)) {
        bool is_check = strstr(fake->last, " /healthz ") != NULL;
        int status = is_check ? told->health : told->status;
        told->checks += is_check;
        if (status == 0)
            return;
        fake_answer(stream, status, "hello");
    }
}

static bool says(struct rig *rig, const char *part)
{
    return strstr(rig_describe(rig), part) != NULL;
}

static void test_check_takes_out_and_brings_back(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 200, 0};
    struct fake *fake = rig_fake(rig, serve_as_told, &told);
    rig_service(rig, "{at: %s, panic: 0%%, health: GET /healthz every 10ms}", fake->text);
    rig_until(told.checks >= 3);
    assert_non_null(strstr(fake->last, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert_non_null(strstr(fake->last, "Connection: close"));
    rig_expect(rig, "hello");
    told.health = 503;
    rig_until(says(rig, "\"state\":\"down\""));
    assert_true(says(rig, "down: 3 × status 503"));
    assert_status(rig_get(rig, "/"), NO_ENDPOINT);
    assert_int_equal(rig->x.facts.tries, 0);
    int checks = told.checks;
    told.health = 202;
    rig_until(says(rig, "\"state\":\"up\""));
    assert_true(says(rig, "up: 2 good answers"));
    assert_true(told.checks >= checks + 2);
    rig_expect(rig, "hello");
}

static void test_check_without_answer(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 200, 0};
    struct fake *fake = rig_fake(rig, serve_as_told, &told);
    fake_stop(fake);
    rig_service(rig, "{at: %s, health: {path: /healthz, every: 10ms, fall: 2}}", fake->text);
    rig_until(says(rig, "down: 2 × connection refused"));
}

static void serve_never(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    fake_read(fake, stream);
    fake_read(fake, stream);
}

static void test_check_times_out(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_never, NULL);
    rig_service(
        rig, "{at: %s, health: {path: /, every: 20ms, timeout: 10ms, fall: 1}}", fake->text);
    rig_until(says(rig, "down: 1 × no answer in time"));
}

static void test_expected_status(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 404, 0};
    struct fake *fake = rig_fake(rig, serve_as_told, &told);
    rig_service(rig, "{at: %s, health: {path: /healthz, every: 10ms, expect: 404}}", fake->text);
    rig_until(told.checks >= 4);
    assert_true(says(rig, "\"state\":\"up\""));
}

static void test_verdict_survives_a_reload(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 500, 0};
    struct fake *fake = rig_fake(rig, serve_as_told, &told);
    rig_service(rig, "{at: %s, health: GET /healthz every 10ms}", fake->text);
    rig_until(says(rig, "\"state\":\"down\""));
    rig_service(rig, "{at: %s, health: GET /healthz every 20ms}", fake->text);
    assert_true(says(rig, "\"state\":\"down\""));
    int checks = told.checks;
    rig_until(told.checks > checks + 2);
    rig_service(rig, "{at: %s}", fake->text); /* nobody checks it any more */
    assert_true(says(rig, "\"state\":\"up\""));
    fiber_sleep_until(loop_now() + 5 * MILLISECOND);
    checks = told.checks;
    fiber_sleep_until(loop_now() + 50 * MILLISECOND);
    assert_int_equal(told.checks, checks);
    rig_expect(rig, "hello");
}

static void ask_often(struct rig *rig, int times)
{
    for (int i = 0; i < times; i++)
        if (rig_get(rig, "/") == OK)
            rig_body(rig);
}

static void test_ejection(void **state)
{
    struct rig *rig = *state;
    struct told bad = {503, 200, 0}, good = {200, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &bad);
    struct fake *second = rig_fake(rig, serve_as_told, &good);
    rig_service(rig, "{at: [%s, %s], slow-start: 0s, outlier: {failures: 3, eject: 60ms}}",
        first->text, second->text);
    ask_often(rig, 12);
    assert_int_equal(first->requests, 3);
    assert_int_equal(second->requests, 9);
    assert_true(says(rig, "ejected for 60 ms: 3 × status 502, 503 or 504"));
    bad.status = 200;
    rig_until(!says(rig, "\"state\":\"ejected\""));
    ask_often(rig, 4);
    assert_int_equal(first->requests, 5);
}

static void test_ejection_lasts_longer_the_second_time(void **state)
{
    struct rig *rig = *state;
    struct told bad = {0, 200, 0}, good = {200, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &bad);
    struct fake *second = rig_fake(rig, serve_as_told, &good);
    rig_service(rig, "{at: [%s, %s], slow-start: 0s, outlier: {failures: 1, eject: 10ms}}",
        first->text, second->text);
    for (int i = 0; i < 2; i++) {
        ask_often(rig, 2);
        assert_true(says(rig, i ? "ejected for 20 ms" : "ejected for 10 ms"));
        rig_until(!says(rig, "\"state\":\"ejected\""));
    }
}

static void test_never_too_many_ejected(void **state)
{
    struct rig *rig = *state;
    struct told bad = {503, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &bad);
    struct fake *second = rig_fake(rig, serve_as_told, &bad);
    rig_service(rig, "{at: [%s, %s], outlier: 1}", first->text, second->text);
    ask_often(rig, 10);
    const char *text = rig_describe(rig);
    const char *one = strstr(text, "\"state\":\"ejected\"");
    assert_non_null(one);
    assert_null(strstr(one + 1, "\"state\":\"ejected\""));
    assert_ok(rig_get(rig, "/"));
    rig_service(rig, "{at: %s, outlier: 1}", first->text); /* the only one is never ejected */
    assert_int_equal(first->connections > 0, 1);
}

static void test_success_resets_the_count(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 200, 0}, good = {200, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &told);
    struct fake *second = rig_fake(rig, serve_as_told, &good);
    rig_service(rig, "{at: [%s, %s], outlier: 3}", first->text, second->text);
    for (int i = 0; i < 8; i++) {
        told.status = i % 2 ? 200 : 503;
        ask_often(rig, 2);
    }
    assert_false(says(rig, "ejected"));
}

static void test_what_counts_as_a_failure(void **state)
{
    struct rig *rig = *state;
    struct told told = {500, 200, 0}, good = {404, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &told);
    struct fake *second = rig_fake(rig, serve_as_told, &good);
    rig_service(rig, "{at: [%s, %s], outlier: {failures: 0, gateway-failures: 2}}", first->text,
        second->text);
    ask_often(rig, 6);
    assert_false(says(rig, "ejected")); /* neither is a gateway's */
    rig_service(rig, "{at: [%s, %s], outlier: 9}", first->text, second->text);
    ask_often(rig, 12);
    assert_true(says(rig, "9 × status 5xx"));
}

/* An ejected endpoint that returns is on trial. */
static void test_trial(void **state)
{
    struct rig *rig = *state;
    struct told bad = {503, 200, 0}, good = {200, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &bad);
    struct fake *second = rig_fake(rig, serve_as_told, &good);
    rig_service(rig, "{at: [%s, %s], slow-start: 0s, outlier: {failures: 4, eject: 10ms}}",
        first->text, second->text);
    ask_often(rig, 8);
    assert_int_equal(first->requests, 4);
    rig_until(says(rig, "back after its ejection, on trial"));
    ask_often(rig, 4); /* one failure is enough */
    assert_int_equal(first->requests, 5);
    assert_true(says(rig, "ejected for 20 ms: 4 × status 502"));
    rig_until(!says(rig, "\"state\":\"ejected\""));
    bad.status = 200;
    ask_often(rig, 2); /* a success ends the trial */
    bad.status = 503;
    ask_often(rig, 6);
    assert_int_equal(first->requests, 9);
    assert_false(says(rig, "\"state\":\"ejected\""));
    ask_often(rig, 2);
    assert_true(says(rig, "\"state\":\"ejected\""));
}

/* Asks so often that an interval sees enough of it. */
#define ask_until(rig, condition)                          \
    do {                                                   \
        instant ask_deadline = clock_now() + 8 * SECOND;   \
        while (!(condition) && clock_now() < ask_deadline) \
            ask_often(rig, 6);                             \
        assert_true(condition);                            \
    } while (0)

/* Fails one time in so many. */
struct moody {
    int one_in, count;
    int64_t delay;
};

static void serve_moodily(struct fake *fake, struct stream *stream, int number)
{
    struct moody *moody = fake->context;
    (void)number;
    while (fake_read(fake, stream)) {
        bool fails = moody->one_in && ++moody->count % moody->one_in == 0;
        if (moody->delay)
            fiber_sleep_until(loop_now() + moody->delay);
        fake_answer(stream, fails ? 500 : 200, "hello");
    }
}

static void begin_moody(struct rig *rig, struct moody moods[3], const char *outlier)
{
    struct fake *fakes[3];
    for (int i = 0; i < 3; i++)
        fakes[i] = rig_fake(rig, serve_moodily, &moods[i]);
    rig_service(rig, "{at: [%s, %s, %s], outlier: {failures: 0, every: 600ms, requests: 10, %s}}",
        fakes[0]->text, fakes[1]->text, fakes[2]->text, outlier);
}

static void test_success_rate(void **state)
{
    struct rig *rig = *state;
    struct moody moods[3] = {{3, 0, 0}, {50, 0, 0}, {0, 0, 0}};
    begin_moody(rig, moods, "hosts: 3, deviation: 1.3");
    ask_until(rig, says(rig, "ms: success rate 6"));
    const char *text = rig_describe(rig);
    assert_true(strstr(text, "success rate") < strstr(text, rig->fakes[1].text));
}

static void test_success_rate_needs_hosts(void **state)
{
    struct rig *rig = *state;
    struct moody moods[3] = {{2, 0, 0}, {0, 0, 0}, {0, 0, 0}};
    begin_moody(rig, moods, "hosts: 4, deviation: 1");
    instant until = clock_now() + 1500 * MILLISECOND;
    while (clock_now() < until)
        ask_often(rig, 6);
    assert_false(says(rig, "ejected"));
}

static void test_failure_share(void **state)
{
    struct rig *rig = *state;
    struct moody moods[3] = {{2, 0, 0}, {5, 0, 0}, {0, 0, 0}};
    begin_moody(rig, moods, "deviation: 0, failure-share: 40%");
    ask_until(rig, says(rig, "of its requests failed"));
    const char *text = rig_describe(rig);
    assert_true(strstr(text, "requests failed") < strstr(text, rig->fakes[1].text));
}

static void test_latency_outlier(void **state)
{
    struct rig *rig = *state;
    struct moody moods[3] = {{0, 0, 25 * MILLISECOND}, {0, 0, 0}, {0, 0, 0}};
    begin_moody(rig, moods, "slower: 10ms");
    ask_until(rig, says(rig, "ms: latency "));
    const char *text = rig_describe(rig);
    assert_true(strstr(text, "ms: latency ") < strstr(text, rig->fakes[1].text));
}

static void test_panic(void **state)
{
    struct rig *rig = *state;
    struct told sick = {200, 500, 0}, well = {200, 200, 0};
    struct fake *first = rig_fake(rig, serve_as_told, &sick);
    struct fake *second = rig_fake(rig, serve_as_told, &sick);
    struct fake *third = rig_fake(rig, serve_as_told, &well);
    rig_service(rig, "{at: [%s, %s, %s], health: GET /healthz every 10ms}", first->text,
        second->text, third->text);
    rig_until(says(rig, "\"panics\":true"));
    ask_often(rig, 9); /* 33 % are well: everybody is asked */
    assert_int_equal(first->requests + second->requests - sick.checks, 6);
    rig_service(rig, "{at: [%s, %s, %s], panic: 20%%, health: GET /healthz every 10ms}",
        first->text, second->text, third->text);
    rig_until(says(rig, "\"panics\":false"));
}

static void test_weights(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 200, 0};
    struct fake *heavy = rig_fake(rig, serve_as_told, &told);
    struct fake *light = rig_fake(rig, serve_as_told, &told);
    struct fake *none = rig_fake(rig, serve_as_told, &told);
    rig_service(rig, "{at: [{address: %s, weight: 3}, %s, {address: %s, weight: 0}]}", heavy->text,
        light->text, none->text);
    ask_often(rig, 40);
    assert_int_equal(heavy->requests, 30);
    assert_int_equal(light->requests, 10);
    assert_int_equal(none->requests, 0);
}

static void test_metrics(void **state)
{
    struct rig *rig = *state;
    struct told told = {200, 200, 0};
    struct fake *fake = rig_fake(rig, serve_as_told, &told);
    rig_service(rig, "{at: %s, retry: off}", fake->text);
    ask_often(rig, 3);
    told.status = 0;
    assert_status(rig_get(rig, "/"), UPSTREAM_CLOSED);
    struct text text = text_growing(0);
    metrics_export(rig->metrics, &text);
    text_add_char(&text, '\0');
    char line[256];
    snprintf(line, sizeof line,
        "weir_upstream_request_duration_seconds_count{service=\"demo\",endpoint=\"%s\"} 3\n",
        fake->text);
    assert_non_null(strstr(text.data, line));
    snprintf(line, sizeof line, "weir_endpoint_healthy{service=\"demo\",endpoint=\"%s\"} 1\n",
        fake->text);
    assert_non_null(strstr(text.data, line));
    snprintf(line, sizeof line, "weir_upstream_connections{service=\"demo\",endpoint=\"%s\"} 0\n",
        fake->text);
    assert_non_null(strstr(text.data, line));
    assert_non_null(strstr(text.data,
        "weir_upstream_failures_total{service=\"demo\",reason=\"upstream-closed\"} 1\n"));
    assert_non_null(strstr(
        text.data, "weir_upstream_retries_total{service=\"demo\",reason=\"upstream-closed\"} 1\n"));
    text_release(&text);
}

/* --- names */

static void test_a_name_is_resolved(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "localhost:%s", strchr(fake->text, ':') + 1);
    rig_expect(rig, "hello"); /* waits for the first resolution */
    rig_service(rig, "{at: \"localhost:%s\", timeout: 3s}", strchr(fake->text, ':') + 1);
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
}

static void test_a_name_without_address(void **state)
{
    struct rig *rig = *state;
    rig_service(rig, "{at: \"weir-test.invalid:80\", timeout: {connect: 1500ms}}");
    enum status e = rig_get(rig, "/");
    assert_true(e == UPSTREAM_DNS || e == UPSTREAM_DNS_TIMEOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_check_takes_out_and_brings_back),
        TEST(test_check_without_answer),
        TEST(test_check_times_out),
        TEST(test_expected_status),
        TEST(test_verdict_survives_a_reload),
        TEST(test_ejection),
        TEST(test_ejection_lasts_longer_the_second_time),
        TEST(test_never_too_many_ejected),
        TEST(test_success_resets_the_count),
        TEST(test_what_counts_as_a_failure),
        TEST(test_trial),
        TEST(test_success_rate),
        TEST(test_success_rate_needs_hosts),
        TEST(test_failure_share),
        TEST(test_latency_outlier),
        TEST(test_panic),
        TEST(test_weights),
        TEST(test_metrics),
        TEST(test_a_name_is_resolved),
        TEST(test_a_name_without_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
