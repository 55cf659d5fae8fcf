/* What becomes of requests above a limit, and several limits of one request. */
#include "policy/limit_over.h"

#include <stdlib.h>
#include <string.h>

#include "policy/limit.h"
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

static int get(struct world *world, const char *key)
{
    world_request(world, "GET", "/");
    world_field(world, "X-Key", key);
    world->x.facts.route = SLICE("GET /");
    assert_ok(world_serve(world));
    return world->x.response.status;
}

#define DECISION(word) "weir_limit_decisions_total{limit=\"limits.x\",decision=\"" word "\"}"
#define WAITING        "weir_limit_waiting{limit=\"limits.x\"}"

static void limit(struct world *world, const char *value)
{
    world_policy(world, &limit_policy, "limits.x", value);
}

static void it_waits_until_there_is_room(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 50/s, burst: 1, over: delay 1h}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world_metric(world, DECISION("passed")), 1);
    assert_int_equal(world_metric(world, DECISION("delayed")), 1);
    assert_int_equal(world_metric(world, WAITING), 0);
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"x\";r=0;t=1");
}

static void who_would_wait_too_long_does_not_wait(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: delay 30m}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(get(world, "a"), 429);
    assert_int_equal(world->x.facts.reason, LIMIT_EXCEEDED);
    assert_int_equal(world_metric(world, DECISION("refused")), 1);
}

static void a_queue_is_left_when_the_time_is_over(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: queue 10ms}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(get(world, "a"), 429);
    limit(world, "{rate: 50/s, burst: 1, per: header.x-key, over: queue 1h}");
    assert_int_equal(get(world, "b"), 200);
    assert_int_equal(get(world, "b"), 200);
    assert_int_equal(world_metric(world, DECISION("queued")), 1);
    assert_int_equal(world_metric(world, DECISION("refused")), 1);
}

static void nobody_waits_longer_than_the_request_may_take(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: queue 1h}");
    assert_int_equal(get(world, "a"), 200);
    world_request(world, "GET", "/");
    world_field(world, "X-Key", "a");
    world->x.deadline = clock_now() + 10 * MILLISECOND;
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 429);
}

static void a_tarpit_refuses_late(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: tarpit 1ms}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(get(world, "a"), 429);
    assert_int_equal(world_metric(world, DECISION("tarpitted")), 1);
    assert_int_equal(world_metric(world, WAITING), 0);
}

static void what_is_only_logged_passes(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: log}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world->x.facts.reason, OK);
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world->x.facts.reason, LIMIT_LOGGED);
    assert_slice(world->x.facts.trouble, "limits.x");
    assert_string_equal(world_answer_field(world, "RateLimit-Policy"), "\"x\";q=1;w=3600");
    assert_int_equal(world_metric(world, DECISION("logged")), 1);
}

static void a_shadow_says_nothing_to_clients(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, shadow: true, over: tarpit 1h}");
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world->x.facts.reason, OK);
    assert_int_equal(get(world, "a"), 200);
    assert_int_equal(world->x.facts.reason, LIMIT_SHADOWED);
    assert_string_equal(world_answer_field(world, "RateLimit"), "");
    assert_int_equal(world_metric(world, DECISION("passed")), 1);
    assert_int_equal(world_metric(world, DECISION("shadowed")), 1);
    assert_non_null(strstr(world_explain(world), "only tried out"));
}

static enum status answer_cheaply(const void *state, struct exchange *x)
{
    (void)state;
    (void)x;
    return OK;
}

static enum status make_handler(struct prepare *prepare, struct slice key, const struct node *value,
    struct handler *ret_handler)
{
    (void)prepare;
    assert_slice(key, "respond");
    assert_slice(value->text, "busy");
    *ret_handler = (struct handler){answer_cheaply, NULL};
    return OK;
}

static void what_is_degraded_goes_elsewhere(void **state)
{
    struct world *world = *state;
    world->prepare.make_handler = make_handler;
    limit(world, "{rate: 1/h, over: {respond: busy}}");
    assert_int_equal(get(world, "a"), 200);
    assert_null(world->x.instead);
    assert_int_equal(get(world, "a"), 200);
    assert_non_null(world->x.instead);
    assert_ptr_equal(world->x.instead->serve, answer_cheaply);
    assert_int_equal(world->x.facts.reason, LIMIT_DEGRADED);
    assert_int_equal(world_metric(world, DECISION("degraded")), 1);
    world_request(world, "GET", "/"); /* in a forward proxy, without a route */
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 429);
}

static void a_reason_that_is_there_already_stays(void **state)
{
    struct world *world = *state;
    limit(world, "{rate: 1/h, over: log}");
    get(world, "a");
    world->next.outcome = UPSTREAM_REFUSED;
    world_request(world, "GET", "/");
    assert_status(world_serve(world), UPSTREAM_REFUSED);
    assert_int_equal(world->x.facts.reason, OK);
}

/* --- several */

/* The limits "a" and "b", in this order, around what is behind them. */
struct pair {
    struct policy_link links[2];
    struct handler chain;
};

static enum status serve_world(const void *state, struct exchange *x)
{
    struct world *world = (struct world *)(uintptr_t)state;
    world->next.calls++;
    return exchange_respond(x, 200, SLICE("text/plain"), SLICE_NONE);
}

static void make_pair(struct world *world, struct pair *pair, const char *a, const char *b)
{
    const char *const values[] = {a, b}, *const names[] = {"limits.a", "limits.b"};
    pair->chain = (struct handler){serve_world, world};
    for (int i = 1; i >= 0; i--) {
        world_policy(world, &limit_policy, names[i], values[i]);
        pair->links[i] = (struct policy_link){&limit_policy, world->config, pair->chain};
        pair->chain = policy_handler(&pair->links[i]);
    }
}

static int get_through(struct world *world, struct pair *pair, const char *key)
{
    world_request(world, "GET", "/");
    world_field(world, "X-Key", key);
    assert_ok(handler_serve(&pair->chain, &world->x));
    return world->x.response.status;
}

#define OF(limit, word) \
    "weir_limit_decisions_total{limit=\"limits." limit "\",decision=\"" word "\"}"

static void all_limits_are_checked_and_shown(void **state)
{
    struct world *world = *state;
    struct pair pair;
    make_pair(world, &pair, "5/h", "{rate: 2/h, per: header.x-key}");
    assert_int_equal(get_through(world, &pair, "u"), 200);
    assert_int_equal(world->next.calls, 1);
    assert_string_equal(
        world_answer_field(world, "RateLimit"), "\"a\";r=4;t=720, \"b\";r=1;t=1800");
    assert_string_equal(
        world_answer_field(world, "RateLimit-Policy"), "\"a\";q=5;w=3600, \"b\";q=2;w=3600");
}

static void what_one_refuses_counts_in_none(void **state)
{
    struct world *world = *state;
    struct pair pair;
    make_pair(world, &pair, "3/h", "{rate: 1/h, per: header.x-key}");
    assert_int_equal(get_through(world, &pair, "u"), 200);
    for (int i = 0; i < 10; i++)
        assert_int_equal(get_through(world, &pair, "u"), 429);
    assert_int_equal(world->next.calls, 0);
    assert_non_null(strstr(world_answer_field(world, "RateLimit"), "\"a\";r=2;"));
    assert_non_null(strstr(world_answer_field(world, "RateLimit"), "\"b\";r=0;"));
    assert_non_null(strstr(world_answer_body(world), "\"violated-policies\":[\"b\"]"));
    assert_int_equal(world_metric(world, OF("a", "passed")), 1);
    assert_int_equal(world_metric(world, OF("a", "returned")), 10);
    assert_int_equal(world_metric(world, OF("b", "refused")), 10);
    assert_int_equal(get_through(world, &pair, "v"), 200);
    assert_int_equal(get_through(world, &pair, "w"), 200);
    assert_int_equal(get_through(world, &pair, "y"), 429);
}

static void those_behind_who_refuses_are_shown_as_they_are(void **state)
{
    struct world *world = *state;
    struct pair pair;
    make_pair(world, &pair, "1/h", "9/h");
    assert_int_equal(get_through(world, &pair, "u"), 200);
    assert_int_equal(get_through(world, &pair, "u"), 429);
    assert_non_null(strstr(world_answer_field(world, "RateLimit"), "\"b\";r=8;"));
    assert_int_equal(world_metric(world, OF("b", "returned")), 0);
    assert_int_equal(world_metric(world, OF("b", "passed")), 1);
}

static void nobody_waits_who_is_refused_anyway(void **state)
{
    struct world *world = *state;
    struct pair pair;
    make_pair(world, &pair, "{rate: 1/h, over: queue 1h}", "1/h");
    assert_int_equal(get_through(world, &pair, "u"), 200);
    assert_int_equal(get_through(world, &pair, "u"), 429);
    assert_int_equal(world_metric(world, OF("b", "refused")), 1);
}

static void a_shadow_behind_another_is_given_back_too(void **state)
{
    struct world *world = *state;
    struct pair pair;
    make_pair(world, &pair, "{rate: 9/h, shadow: true}", "1/h");
    for (int i = 0; i < 5; i++)
        get_through(world, &pair, "u");
    world->policy = &limit_policy;
    world->config = (void *)(uintptr_t)pair.links[0].config;
    assert_non_null(strstr(world_explain(world), "8 left"));
}

static void what_is_written_wrong_is_said(void **state)
{
    struct world *world = *state;
    static const struct world_wrong wrong[] = {
        {"{rate: 1/h, over: wait}", "not what can become"},
        {"{rate: 1/h, over: delay 2}", "unit"},
        {"{rate: 1/h, over: delay 2h}", "at most 1h"},
        {"{rate: 1/h, over: queue 0 for 2s}", "cannot wait"},
        {"{rate: 1/h, over: queue 5 in 2s}", "queue 100 for 2s"},
        {"{rate: 1/h, over: queue 5 for}", "queue 100 for 2s"},
        {"{rate: 1/h, over: degrade}", "another service"},
        {"{rate: 1/h, over: {action: log, to: cheap}}", "only what is degraded"},
        {"{rate: 1/h, over: {action: queue, files: /srv}}", "only what is degraded"},
        {"{rate: 1/h, over: {to: cheap, respond: busy}}", "goes to one of"},
        {"{rate: 1/h, over: {size: 0, action: queue}}", "size"},
        {"{rate: 1/h, shadow: maybe}", "only true and false"},
        {NULL, NULL},
    };
    world_all_wrong(world, limit_policy.options, wrong);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(it_waits_until_there_is_room),
        EACH(who_would_wait_too_long_does_not_wait),
        EACH(a_queue_is_left_when_the_time_is_over),
        EACH(nobody_waits_longer_than_the_request_may_take),
        EACH(a_tarpit_refuses_late),
        EACH(what_is_only_logged_passes),
        EACH(a_shadow_says_nothing_to_clients),
        EACH(what_is_degraded_goes_elsewhere),
        EACH(a_reason_that_is_there_already_stays),
        EACH(all_limits_are_checked_and_shown),
        EACH(what_one_refuses_counts_in_none),
        EACH(those_behind_who_refuses_are_shown_as_they_are),
        EACH(nobody_waits_who_is_refused_anyway),
        EACH(a_shadow_behind_another_is_given_back_too),
        EACH(what_is_written_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
