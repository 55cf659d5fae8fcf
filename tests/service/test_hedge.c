/* Hedging: when a second request goes, who wins, and what becomes of the other. */
#include "service/hedge_options.h"

#include "run/loop.h"
#include "service/pace.h"
#include "service/service_options.h"
#include "support/config.h"
#include "support/on_loop.h"
#include "support/service_rig.h"

#include <stdio.h>
#include <stdlib.h>

/* --- options */

static void check_hedge(const char *hedge, const char *expected)
{
    struct config config;
    struct service_options options;
    char yaml[256], room[HEDGE_TEXT_SIZE];
    struct text text = text_fixed(room, sizeof room);
    snprintf(yaml, sizeof yaml, "{at: 10.0.0.1:80, hedge: %s}", hedge);
    config_read_clean(&config, yaml, &service_table, &options);
    hedge_explain(&options.hedge.rule, &text);
    assert_slices(text_slice(&text), slice_of_text(expected));
    config_end(&config);
}

static void test_what_one_may_write(void **state)
{
    (void)state;
    check_hedge("p95", "after p95");
    check_hedge("p99.9", "after p99.9");
    check_hedge("50ms", "after 50ms");
    check_hedge("off", "off");
    check_hedge("{keyed: true, grpc: true}", "after p95");
    check_hedge("{after: 1s, budget: 2%}", "after 1s");
    check_hedge("{after: p90, budget: {share: 2%, least: 3}}", "after p90");
}

static void test_what_one_may_not(void **state)
{
    (void)state;
    static const struct malformed malformed[] = {{"{at: 10.0.0.1:80, hedge: soon}", 1, 26, "unit"},
        {"{at: 10.0.0.1:80, hedge: 50}", 1, 26, "unit"},
        {"{at: 10.0.0.1:80, hedge: p}", 1, 26, "p50 to p99.99"},
        {"{at: 10.0.0.1:80, hedge: p49}", 1, 26, "p50 to p99.99"},
        {"{at: 10.0.0.1:80, hedge: p100}", 1, 26, "p50 to p99.99"},
        {"{at: 10.0.0.1:80, hedge: pfft}", 1, 26, "p50 to p99.99"},
        {"{at: 10.0.0.1:80, hedge: 10us}", 1, 26, "1ms to 1h"},
        {"{at: 10.0.0.1:80, hedge: {after: [p95]}}", 1, 34, "one value"},
        {"{at: 10.0.0.1:80, hedge: {budget: 2}}", 1, 35, "%"},
        {"{at: 10.0.0.1:80, hedge: p95, sticky: {cookie: id}}", 1, 26, "sticky"}};
    assert_malformed(&service_table, malformed);
}

/* --- paces */

static void test_pace(void **state)
{
    (void)state;
    struct pace *pace = pace_new(SLICE("GET /x"), 0.95);
    instant now = 1000 * SECOND;
    assert_non_null(pace);
    for (int i = 0; i < PACE_LEAST - 1; i++)
        pace_note(pace, now, 10 * MILLISECOND);
    assert_int_equal(pace_time(pace, now), 0);
    pace_note(pace, now, 10 * MILLISECOND);
    assert_int_equal(pace_time(pace, now), 0); /* looked at a moment ago */
    now += 100 * MILLISECOND;
    assert_in_range(pace_time(pace, now), 9 * MILLISECOND, 11 * MILLISECOND);
    for (int i = 0; i < 4; i++)
        pace_note(pace, now, SECOND); /* 4 of 24 are more than 5 of 100 */
    now += 100 * MILLISECOND;
    assert_in_range(pace_time(pace, now), 950 * MILLISECOND, 1050 * MILLISECOND);
    free(pace);
}

static void test_pace_forgets(void **state)
{
    (void)state;
    struct pace *pace = pace_new(SLICE(""), 0.9);
    instant now = 1000 * SECOND;
    assert_non_null(pace);
    for (int i = 0; i < 400; i++)
        pace_note(pace, now, SECOND);
    now += 10 * SECOND;
    assert_in_range(pace_time(pace, now), 950 * MILLISECOND, 1050 * MILLISECOND);
    for (int i = 0; i < 6; i++) {
        now += 10 * SECOND;
        for (int k = 0; k < 100; k++)
            pace_note(pace, now, 2 * MILLISECOND);
    }
    assert_in_range(pace_time(pace, now), MILLISECOND, 3 * MILLISECOND);
    now += 3600 * SECOND;
    assert_int_equal(pace_time(pace, now), 0);
    free(pace);
}

/* --- a service of two endpoints, the first of which is asked first */

struct lazy {
    bool waits;      /* before it answers, ... */
    const int *gate; /* ... until this is not 0; NULL: for ever */
    int status;      /* 0: 200 */
    int given_up;    /* requests whose connection was closed instead */
};

/* Looks on while it waits whether anybody waits for it still. */
static bool is_wanted(struct lazy *lazy, struct stream *stream)
{
    char byte;
    size_t got;
    while (lazy->waits && !(lazy->gate && *lazy->gate)) {
        enum status e = stream_read(stream, &byte, 1, loop_now() + MILLISECOND, &got);
        if (e == TIMEOUT)
            continue;
        lazy->given_up++;
        return false;
    }
    return true;
}

static void serve_lazily(struct fake *fake, struct stream *stream, int number)
{
    struct lazy *lazy = fake->context;
    (void)number;
    while (fake_read(fake, stream) && is_wanted(lazy, stream))
        fake_answer(stream, lazy->status ? lazy->status : 200,
            fake == fake->rig->fakes ? "first" : "second");
}

static struct lazy lazy[2];

static void begin(struct rig *rig, const char *more)
{
    if (!rig->fake_count) {
        rig_fake(rig, serve_lazily, &lazy[0]);
        rig_fake(rig, serve_lazily, &lazy[1]);
    }
    rig_service(rig, "{at: [{address: %s}, {address: %s, backup: true}], %s}", rig->fakes[0].text,
        rig->fakes[1].text, more);
}

#define SOON "hedge: {after: 20ms, keyed: true, budget: {least: 100}}"

static void expect(struct rig *rig, const char *body, enum hedge_outcome outcome)
{
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 200);
    assert_slices(rig_body(rig), slice_of_text(body));
    assert_int_equal(rig->x.facts.hedge, outcome);
    assert_int_equal(rig->x.facts.tries, outcome ? 2 : 1);
}

static void expect_metric(struct rig *rig, const char *line)
{
    struct text text = text_growing(0);
    metrics_export(rig->metrics, &text);
    if (slice_find_slice(text_slice(&text), slice_of_text(line)) == text.size)
        fail_msg("there is no %s", line);
    text_release(&text);
}

/* Nothing is under way, and nothing is held against anybody. */
static void expect_peace(struct rig *rig)
{
    const char *text = rig_describe(rig);
    assert_null(strstr(text, "\"in_flight\":1"));
    assert_null(strstr(text, "\"running\":1"));
    assert_null(strstr(text, "\"failures\":1"));
}

static void test_the_second_wins(void **state)
{
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, SOON ", outlier: {failures: 1}, breaker: {in-a-row: 1, per: endpoint}");
    rig_request(rig, "GET", "/");
    expect(rig, "second", HEDGE_WON);
    assert_slices(rig->x.facts.endpoint, slice_of_text(rig->fakes[1].text));
    rig_until(lazy[0].given_up == 1);
    expect_peace(rig);
    expect_metric(rig, "weir_hedges_total{service=\"demo\",outcome=\"won\"} 1\n");
    rig_request(rig, "GET", "/"); /* it is asked first again */
    expect(rig, "second", HEDGE_WON);
    assert_int_equal(rig->fakes[0].requests, 2);
}

static void test_the_first_wins(void **state)
{
    struct rig *rig = *state;
    lazy[0].waits = true;
    lazy[0].gate = &rig->fakes[1].requests;
    lazy[1] = (struct lazy){.waits = true};
    begin(rig, SOON);
    rig_request(rig, "GET", "/");
    expect(rig, "first", HEDGE_LOST);
    assert_slices(rig->x.facts.endpoint, slice_of_text(rig->fakes[0].text));
    rig_until(lazy[1].given_up == 1);
    expect_peace(rig);
    expect_metric(rig, "weir_hedges_total{service=\"demo\",outcome=\"lost\"} 1\n");
}

static void test_in_time(void **state)
{
    struct rig *rig = *state;
    begin(rig, "hedge: 10s");
    rig_request(rig, "GET", "/");
    expect(rig, "first", HEDGE_NONE);
    assert_int_equal(rig->fakes[1].requests, 0);
}

/* A failure that comes soon is no answer to be taken before one that is late. */
static void test_bad_answers_do_not_win(void **state)
{
    struct rig *rig = *state;
    lazy[0].waits = true;
    lazy[0].gate = &rig->fakes[1].requests;
    lazy[1] = (struct lazy){.status = 503};
    begin(rig, "timeout: 1s, " SOON ", outlier: {failures: 0}");
    rig_request(rig, "GET", "/");
    expect(rig, "first", HEDGE_LOST);
    lazy[0] = (struct lazy){.waits = true}; /* never: then a bad one is better than none */
    rig_request(rig, "GET", "/");
    assert_ok(rig_call(rig));
    assert_int_equal(rig->x.response.status, 503);
    assert_slice(rig_body(rig), "second");
}

/* Both fail, and are tried again as one would be. */
static void test_both_fail(void **state)
{
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    lazy[1] = (struct lazy){.waits = true};
    begin(rig, "timeout: 1s, retry: {times: 1, if: timeout, backoff: 1ms}, " SOON
               ", outlier: {failures: 0}");
    rig_request(rig, "GET", "/");
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    assert_int_equal(rig->x.facts.tries, 3);
    rig_until(lazy[0].given_up + lazy[1].given_up == 3);
    assert_null(strstr(rig_describe(rig), "\"in_flight\":1"));
}

static void ask(struct rig *rig, const char *method, bool has_key)
{
    rig_request(rig, method, "/");
    rig_request_body(rig, "once");
    if (has_key)
        assert_ok(fields_add_made(&rig->x.request.fields, FIELD_IDEMPOTENCY_KEY, SLICE("\"a\"")));
}

#define QUICK "timeout: 100ms, outlier: {failures: 0}, "

static void test_what_is_sent_twice(void **state)
{
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, SOON);
    ask(rig, "PUT", false);
    expect(rig, "second", HEDGE_WON);
    assert_non_null(strstr(rig->fakes[1].last, "once"));
    ask(rig, "POST", true);
    expect(rig, "second", HEDGE_WON);
    begin(rig, QUICK SOON);
    int requests = rig->fakes[1].requests;
    ask(rig, "POST", false);
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    ask(rig, "PATCH", false);
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    begin(rig, QUICK "hedge: {after: 20ms, budget: {least: 100}}");
    ask(rig, "POST", true); /* nothing says that the service knows the key */
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    assert_int_equal(rig->fakes[1].requests, requests);
}

static void test_a_route_of_its_own(void **state)
{
    static const struct hedge_rule never, soon = {.after = {.time = 20 * MILLISECOND}};
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, QUICK SOON);
    rig_request(rig, "GET", "/");
    rig->x.hedge = &never;
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    begin(rig, "outlier: {failures: 0}, hedge: {after: off, budget: {least: 100}}");
    rig_request(rig, "GET", "/");
    rig->x.hedge = &soon;
    expect(rig, "second", HEDGE_WON);
}

/* Twenty requests say how long is usual; 5 of 100 may be sent twice. */
static void test_its_own_pace_and_budget(void **state)
{
    struct rig *rig = *state;
    begin(rig, "hedge: {after: p95, budget: 0%}"); /* a busy machine may be slow by itself */
    for (int i = 0; i < 40; i++) {
        rig_request(rig, "GET", "/");
        expect(rig, "first", HEDGE_NONE);
    }
    fiber_sleep_until(loop_now() + 100 * MILLISECOND);
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, "hedge: p95"); /* a reload forgets nothing */
    for (int i = 0; i < 2; i++) {
        rig_request(rig, "GET", "/");
        expect(rig, "second", HEDGE_WON);
    }
    begin(rig, QUICK "hedge: p95");
    rig_request(rig, "GET", "/");
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    expect_metric(rig, "weir_hedges_refused_total{service=\"demo\",reason=\"budget\"} ");
    assert_non_null(strstr(rig_describe(rig), "\"hedges\":2"));
    assert_non_null(strstr(rig_describe(rig), "\"policy\":\"after p95\""));
    assert_null(strstr(rig_describe(rig), "\"after_seconds\":null"));
}

static void test_no_place(void **state)
{
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, QUICK "concurrency: 1, " SOON);
    rig_request(rig, "GET", "/");
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    expect_metric(rig, "weir_hedges_refused_total{service=\"demo\",reason=\"busy\"} 1\n");
    begin(rig, "concurrency: 2, " SOON);
    for (int i = 0; i < 3; i++) { /* what it took was given back each time */
        rig_request(rig, "GET", "/");
        expect(rig, "second", HEDGE_WON);
    }
}

static void test_nobody_else(void **state)
{
    struct rig *rig = *state;
    lazy[0] = (struct lazy){.waits = true};
    begin(rig, "timeout: 1s, retry: off, outlier: {failures: 0}, " SOON);
    fake_stop(&rig->fakes[1]);
    rig_request(rig, "GET", "/");
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT); /* the second's failure is not the answer */
    assert_int_equal(rig->x.facts.tries, 2);
    rig_service(rig, "{at: %s, timeout: 100ms, " SOON "}", rig->fakes[0].text);
    rig_request(rig, "GET", "/");
    assert_status(rig_call(rig), UPSTREAM_TIMEOUT);
    assert_int_equal(rig->x.facts.tries, 1);
}

static void call(void *argument)
{
    assert_status(rig_call(argument), CANCELLED);
}

static void test_the_client_leaves(void **state)
{
    struct rig *rig = *state;
    struct scope scope;
    lazy[0] = (struct lazy){.waits = true};
    lazy[1] = (struct lazy){.waits = true};
    begin(rig, SOON);
    rig_request(rig, "GET", "/");
    scope_init(&scope);
    assert_ok(scope_start(&scope, call, rig));
    rig_until(rig->fakes[1].requests == 1);
    scope_end(&scope);
    rig_until(lazy[0].given_up == 1 && lazy[1].given_up == 1);
    expect_peace(rig);
}

static int setup(void **state)
{
    memset(lazy, 0, sizeof lazy);
    return rig_setup(state);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_one_may_write),
        cmocka_unit_test(test_what_one_may_not), cmocka_unit_test(test_pace),
        cmocka_unit_test(test_pace_forgets), RIG_TEST(test_the_second_wins),
        RIG_TEST(test_the_first_wins), RIG_TEST(test_in_time),
        RIG_TEST(test_bad_answers_do_not_win), RIG_TEST(test_both_fail),
        RIG_TEST(test_what_is_sent_twice), RIG_TEST(test_a_route_of_its_own),
        RIG_TEST(test_its_own_pace_and_budget), RIG_TEST(test_no_place), RIG_TEST(test_nobody_else),
        RIG_TEST(test_the_client_leaves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
