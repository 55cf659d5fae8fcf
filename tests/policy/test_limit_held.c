/* What requests hold of a concurrency limit: from where they pass to the exchange's end. */
#include "policy/limit_held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_ops.h"
#include "support/on_loop.h"
#include "support/unit.h"
#include "support/world.h"

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void limit(struct world *world, const char *value)
{
    world_policy(world, &limit_policy, "limits.x", value);
}

static int serve(struct world *world)
{
    enum status e = world_serve(world);
    return e ? -(int)e : world->x.response.status;
}

/* A new request, which ends the last. */
static int get(struct world *world, const char *key)
{
    world_request(world, "GET", "/");
    world_field(world, "X-Key", key);
    return serve(world);
}

static long metric(struct world *world, const char *series)
{
    struct text text = text_growing(0);
    metrics_export(world->metrics, &text);
    text_add_char(&text, '\0');
    const char *found = strstr(text.data, series);
    long value = found ? strtol(found + strlen(series) + 1, NULL, 10) : -1;
    text_release(&text);
    return value;
}

#define IN_USE "weir_limit_in_use{limit=\"limits.x\"}"

/* Exchanges that go on, each as it was when it was put aside. */
struct under_way {
    struct exchange_end *ends[8];
    int count;
};

static void put_aside(struct under_way *under_way, struct world *world)
{
    under_way->ends[under_way->count++] = world->x.ends;
    world->x.ends = NULL;
}

static void end_one(struct under_way *under_way, struct world *world)
{
    struct exchange x = {.ends = under_way->ends[--under_way->count]};
    (void)world;
    exchange_run_ends(&x);
}

static void so_many_at_once(void **state)
{
    struct world *world = *state;
    struct under_way under_way = {.count = 0};
    limit(world, "{concurrency: 2, per: header.x-key}");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(get(world, "a"), 200);
        put_aside(&under_way, world);
    }
    assert_string_equal(
        world_answer_field(world, "RateLimit-Policy"), "\"x\";q=2;qu=\"concurrent-requests\"");
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"x\";r=0");
    assert_int_equal(get(world, "a"), 429);
    assert_string_equal(world_answer_field(world, "Retry-After"), "1");
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"x\";r=0");
    assert_non_null(strstr(world_answer_body(world), "At most 2 at a time"));
    assert_int_equal(metric(world, IN_USE), 2);
    assert_int_equal(get(world, "b"), 200);
    assert_int_equal(metric(world, IN_USE), 3);
    end_one(&under_way, world);
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(get(world, "a"), 200); /* the last one has ended */
    end_one(&under_way, world);
    world_request(world, "GET", "/");
    assert_int_equal(metric(world, IN_USE), 0);
}

static void whatever_the_end_is(void **state)
{
    struct world *world = *state;
    limit(world, "{concurrency: 1}");
    for (int i = 0; i < 3; i++) {
        world->next.outcome = i == 1 ? UPSTREAM_TIMEOUT : OK;
        assert_int_equal(get(world, "a"), i == 1 ? -(int)UPSTREAM_TIMEOUT : 200);
    }
    world_request(world, "GET", "/");
    assert_int_equal(metric(world, IN_USE), 0);
}

static void plans_and_costs(void **state)
{
    struct world *world = *state;
    struct under_way under_way = {.count = 0};
    limit(world, "{concurrency: {pro: 3, else: 1}, by: header.x-key, per: client.ip, cost: 1}");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(world, "pro"), 200);
        put_aside(&under_way, world);
        assert_int_equal(get(world, "other"), 429);
    }
    assert_int_equal(get(world, "pro"), 429);
    while (under_way.count)
        end_one(&under_way, world);
    assert_int_equal(get(world, "other"), 200);

    limit(world, "{concurrency: 5, per: client.ip, cost: header.x-key}");
    assert_int_equal(get(world, "3"), 200);
    put_aside(&under_way, world);
    assert_int_equal(get(world, "3"), 429);
    assert_int_equal(get(world, "0"), 200);
    assert_int_equal(get(world, "2"), 200);
    assert_int_equal(metric(world, IN_USE), 5);
    end_one(&under_way, world);
    assert_int_equal(get(world, "6"), 429);
}

static void a_reload_keeps_what_is_held(void **state)
{
    struct world *world = *state;
    struct under_way under_way = {.count = 0};
    limit(world, "{concurrency: 2}");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(get(world, "a"), 200);
        put_aside(&under_way, world);
    }
    limit(world, "{concurrency: 3}");
    assert_int_equal(get(world, "a"), 200);
    put_aside(&under_way, world);
    assert_int_equal(get(world, "a"), 429);
    limit(world, "{concurrency: 1}");
    for (int left = 3; left; left--) {
        assert_int_equal(get(world, "a"), 429);
        end_one(&under_way, world);
    }
    assert_int_equal(get(world, "a"), 200);
}

static void what_is_tried_out_or_logged(void **state)
{
    struct world *world = *state;
    struct under_way under_way = {.count = 0};
    limit(world, "{concurrency: 1, shadow: true}");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(world, "a"), 200);
        assert_int_equal(world->x.facts.reason, i ? LIMIT_SHADOWED : OK);
        put_aside(&under_way, world);
    }
    assert_int_equal(metric(world, IN_USE), 1);
    while (under_way.count)
        end_one(&under_way, world);
    limit(world, "{concurrency: 1, over: log}");
    assert_int_equal(get(world, "a"), 200);
    put_aside(&under_way, world);
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world->x.facts.reason, LIMIT_LOGGED);
    end_one(&under_way, world);
}

static void explaining_says_what_is_left(void **state)
{
    struct world *world = *state;
    limit(world, "{concurrency: 2}");
    assert_int_equal(get(world, "a"), 200);
    assert_string_equal(world_explain(world), "passes, 1 left for client.ip = \"192.0.2.1\"");
}

/* --- waiting */

struct waiting {
    struct world *world;
    struct under_way under_way;
    instant begun;
};

static void end_soon(void *argument)
{
    struct waiting *waiting = argument;
    rig_until(metric(waiting->world, "weir_limit_waiting{limit=\"limits.x\"}") == 1);
    end_one(&waiting->under_way, waiting->world);
}

static void who_waits_gets_the_place_of_who_ends(void **state)
{
    struct world *world = *state;
    static const char *const words[] = {"queue", "delay"};
    for (int i = 0; i < 2; i++) {
        struct waiting waiting = {.world = world};
        struct scope scope;
        char value[64];
        snprintf(value, sizeof value, "{concurrency: 1, over: %s 1h}", words[i]);
        limit(world, value);
        assert_int_equal(get(world, "a"), 200);
        put_aside(&waiting.under_way, world);
        scope_init(&scope);
        assert_ok(scope_start(&scope, end_soon, &waiting));
        assert_int_equal(get(world, "a"), 200);
        scope_end(&scope);
    }
    assert_int_equal(
        metric(world, "weir_limit_decisions_total{limit=\"limits.x\",decision=\"queued\"}"), 1);
    assert_int_equal(
        metric(world, "weir_limit_decisions_total{limit=\"limits.x\",decision=\"delayed\"}"), 1);
    assert_int_equal(metric(world, IN_USE), 1);
}

static void a_queue_is_left_when_the_time_is_over(void **state)
{
    struct world *world = *state;
    struct under_way under_way = {.count = 0};
    limit(world, "{concurrency: 1, over: queue 10ms}");
    assert_int_equal(get(world, "a"), 200);
    put_aside(&under_way, world);
    assert_int_equal(get(world, "a"), 429);
    end_one(&under_way, world);
    assert_int_equal(get(world, "a"), 200);
}

/* --- in a store that the test plays */

#define NOTES 8

struct fake_store {
    struct store store; /* first */
    enum status outcome;
    int64_t allowed;
    int asked;
    int64_t costs[NOTES], holders[NOTES], per;
};

static enum status answer(struct store *store, struct store_question *question)
{
    struct fake_store *fake = (struct fake_store *)store;
    assert_int_equal(question->verb, STORE_RUN);
    assert_true(fake->asked < NOTES);
    fake->costs[fake->asked] = question->arguments[LIMIT_COST];
    fake->holders[fake->asked++] = question->arguments[LIMIT_AT];
    fake->per = question->arguments[LIMIT_PER];
    question->results[LIMIT_ALLOWED] = fake->allowed;
    return fake->outcome;
}

static const struct store_ops fake_ops = {.ask = answer};

static void one_who_takes_in_a_store_gives_back_there(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 1}, .allowed = 1};
    world->prepare.stores.shared = &fake.store;
    limit(world, "{concurrency: 2, lease: 7s}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(fake.asked, 1);
    assert_int_equal(fake.per, 7 * SECOND);
    assert_int_equal(fake.costs[0], 1);
    assert_true(fake.holders[0] > 0);
    world_request(world, "GET", "/");
    assert_int_equal(fake.asked, 2);
    assert_int_equal(fake.costs[1], -1);
    assert_true(fake.holders[1] == fake.holders[0]);
    fake.allowed = 0;
    assert_int_equal(get(world, "a"), 429);
    assert_true(fake.holders[2] != fake.holders[0]);
    world_request(world, "GET", "/");
    assert_int_equal(fake.asked, 3); /* there is nothing to give back */
}

/* Nobody knows whether it was taken: it is given back all the same, and the gateway's own share
 * decides. */
static void what_is_in_doubt_is_given_back(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 2}, .outcome = TIMEOUT};
    struct under_way under_way = {.count = 0};
    world->prepare.stores.shared = &fake.store;
    limit(world, "{concurrency: 2}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(fake.asked, 2);
    assert_int_equal(fake.costs[1], -1);
    assert_true(fake.holders[1] == fake.holders[0]);
    assert_int_equal(
        metric(world, "weir_limit_lease_failures_total{limit=\"limits.x\",action=\"return\"}"), 1);
    put_aside(&under_way, world);
    assert_int_equal(get(world, "a"), 429); /* half of two */
    fake.outcome = STORE_UNAVAILABLE;       /* nothing was asked: there is no doubt */
    assert_int_equal(get(world, "a"), 429);
    assert_int_equal(fake.asked, 5);
    end_one(&under_way, world);
    assert_int_equal(get(world, "a"), 200);
    world_request(world, "GET", "/");
    assert_int_equal(metric(world, IN_USE), 0);
    limit(world, "{concurrency: 2, if-unavailable: refuse}");
    assert_int_equal(get(world, "a"), -(int)STORE_UNAVAILABLE);
    limit(world, "{concurrency: 2, if-unavailable: pass}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(metric(world, IN_USE), 0);
}

static void what_does_not_go_together_is_said(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *value, *complaint;
    } cases[] = {
        {"{rate: 1/min, concurrency: 1}", "not both"},
        {"{concurrency: 1, rate: 1/min}", "not both"},
        {"{rate: 1/min, algorithm: concurrency}", "write \"concurrency: 10\""},
        {"{concurrency: 1, algorithm: sliding-log}", "take \"algorithm\" out"},
        {"{rate: 1/min, lease: 10s}", "a rate has none"},
        {"{concurrency: 1, lease: 10ms}", "lease"},
        {"{concurrency: 1, burst: 3}", "a burst is a bucket's"},
        {"{concurrency: 0}", "concurrency"},
        {"{concurrency: 70000}", "65536"},
        {"{concurrency: some}", "concurrency"},
        {"{concurrency: {pro: 2}, by: header.x-plan}", "add \"else: 1\""},
        {"{concurrency: 1, cost: response.size}", "cannot depend on its answer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *said = world_complaints(world, &limit_options, cases[i].value);
        if (!strstr(said, cases[i].complaint))
            fail_msg("%s: %s", cases[i].value, said);
    }
    (void)world_read(world, &limit_options, "{concurrency: 1, algorithm: concurrency}");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        EACH(so_many_at_once),
        EACH(whatever_the_end_is),
        EACH(plans_and_costs),
        EACH(a_reload_keeps_what_is_held),
        EACH(what_is_tried_out_or_logged),
        EACH(explaining_says_what_is_left),
        EACH(who_waits_gets_the_place_of_who_ends),
        EACH(a_queue_is_left_when_the_time_is_over),
        EACH(one_who_takes_in_a_store_gives_back_there),
        EACH(what_is_in_doubt_is_given_back),
        EACH(what_does_not_go_together_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
