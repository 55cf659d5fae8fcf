#include <stdlib.h>

#include "base/json.h"
#include "policy/limit.h"
#include "run/loop.h"
#include "support/unit.h"
#include "support/on_loop.h"
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

/* The status that a new request gets. */
static int get(struct world *world, const char *client, const char *plan)
{
    world_request(world, "GET", "/");
    world_client(world, client);
    if (plan)
        world_field(world, "X-Plan", plan);
    assert_ok(world_serve(world));
    return world->x.response.status;
}

static void the_burst_passes_and_then_429(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.login", "{rate: 5/h, burst: 2}");
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
    assert_int_equal(world->next.calls, 0);
    assert_int_equal(world->x.facts.reason, LIMIT_EXCEEDED);
    assert_int_equal(get(world, "192.0.2.2", NULL), 200);
}

static void the_burst_is_the_rate_when_it_is_not_given(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "3/h");
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
}

/* Another worker's time may be ahead of this one's, which has read it before. */
static void a_unit_that_is_there_is_given_whatever_time_a_worker_has(void **state)
{
    struct world *world = *state;
    struct slice client = SLICE("192.0.2.1");
    world_policy(world, &limit_policy, "limits.login", "{rate: 5/h, burst: 2}");
    const struct limit *limit = world->config;
    instant ahead = loop_now() + MILLISECOND;
    while (clock_now() < ahead)
        continue;
    assert_true(
        limit_table_take(limit->state->table, client, &limit->plans.otherwise->rule, 1, clock_now())
            .allowed);
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
}

static void answers_say_what_is_left(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.login", "{rate: 60/min, burst: 10}");
    get(world, "192.0.2.1", NULL);
    assert_string_equal(world_answer_field(world, "RateLimit-Policy"), "\"login\";q=60;w=60");
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"login\";r=9;t=1");
    assert_string_equal(world_answer_field(world, "Retry-After"), "");
}

static void a_bucket_deeper_than_its_rate_is_the_quota(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limit of GET /", "{rate: 5/min, burst: 10}");
    get(world, "192.0.2.1", NULL);
    assert_string_equal(world_answer_field(world, "RateLimit-Policy"), "\"route\";q=10;w=120");
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"route\";r=9;t=12");
}

static void members_are_added_to_those_of_others(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.a\"b", "60/min");
    world->next.fields[0].name = "RateLimit";
    world->next.fields[0].value = "\"theirs\";r=1;t=9";
    get(world, "192.0.2.1", NULL);
    assert_string_equal(
        world_answer_field(world, "RateLimit"), "\"theirs\";r=1;t=9, \"a\\\"b\";r=59;t=1");
}

static void a_name_is_shown_in_visible_ascii(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.a b\xC3\xA4~", "60/min");
    get(world, "192.0.2.1", NULL);
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"a b??~\";r=59;t=1");
}

static void a_short_wait_is_one_second(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "{rate: 10/s, burst: 1}");
    get(world, "192.0.2.1", NULL);
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
    assert_string_equal(world_answer_field(world, "Retry-After"), "1");
    assert_string_equal(world_answer_field(world, "RateLimit-Policy"), "\"x\";q=10;w=1");
}

static void fields_can_be_left_out(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.a", "{rate: 1/h, fields: false}");
    get(world, "192.0.2.1", NULL);
    assert_string_equal(world_answer_field(world, "RateLimit"), "");
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
    assert_string_equal(world_answer_field(world, "RateLimit"), "");
    assert_string_not_equal(world_answer_field(world, "Retry-After"), "");
}

static void a_failure_behind_it_carries_the_fields_too(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.a", "60/min");
    world->next.outcome = UPSTREAM_REFUSED;
    world_request(world, "GET", "/");
    assert_status(world_serve(world), UPSTREAM_REFUSED);
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"a\";r=59;t=1");
}

static void the_refusal_explains_itself(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.login", "{rate: 1/10s}");
    get(world, "192.0.2.1", NULL);
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
    long wait = strtol(world_answer_field(world, "Retry-After"), NULL, 10);
    assert_in_range(wait, 10, 12); /* a quarter more by chance */
    assert_string_equal(world_answer_field(world, "Content-Type"), "application/problem+json");
    assert_string_equal(
        world_answer_field(world, "Proxy-Status"), "weir; error=http_request_denied");
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"login\";r=0;t=10");
    struct json_value *root;
    struct slice text, body = slice_of_text(world_answer_body(world));
    assert_int_equal(world->x.response.body->length, body.size);
    assert_ok(json_parse(&world->arena, body, NULL, &root, NULL));
    assert_true(json_get_text(root, SLICE("type"), &text));
    assert_slice(text, "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_true(json_get_text(root, SLICE("reason"), &text));
    assert_slice(text, "limit-exceeded");
    const struct json_value *violated = json_get(root, SLICE("violated-policies"));
    assert_slice(json_at(violated, 0)->text, "login");
}

static void the_plan_says_which_rate(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.plan",
        "{rate: {free: 1/h, pro: 3/h, else: 2/h}, by: header.x-plan}");
    assert_int_equal(get(world, "192.0.2.1", "free"), 200);
    assert_int_equal(get(world, "192.0.2.1", "free"), 429);
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(world, "192.0.2.2", "pro"), 200);
    assert_int_equal(get(world, "192.0.2.2", "pro"), 429);
    for (int i = 0; i < 2; i++)
        assert_int_equal(get(world, "192.0.2.3", i ? NULL : "gold"), 200);
    assert_int_equal(get(world, "192.0.2.3", "gold"), 429);
}

static void requests_without_the_key_share_one(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "{rate: 1/h, per: header.x-plan}");
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(get(world, "192.0.2.2", NULL), 429);
    assert_int_equal(get(world, "192.0.2.2", "a"), 200);
}

static void counts_survive_a_reload_that_keeps_the_name(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "{rate: 1/h}");
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    world_policy(world, &limit_policy, "limits.x", "{rate: 2/h, burst: 1}");
    assert_int_equal(get(world, "192.0.2.1", NULL), 429);
    world_policy(world, &limit_policy, "limits.y", "{rate: 1/h}");
    assert_int_equal(get(world, "192.0.2.1", NULL), 200);
    assert_int_equal(registry_count(world->registry), 2);
}

#define DECISION(word) "weir_limit_decisions_total{limit=\"limits.x\",decision=\"" word "\"}"

static void decisions_are_counted(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "1/h");
    for (int i = 0; i < 3; i++)
        get(world, "192.0.2.1", NULL);
    assert_int_equal(world_metric(world, DECISION("passed")), 1);
    assert_int_equal(world_metric(world, DECISION("refused")), 2);
}

static void explaining_takes_nothing(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "1/h");
    world_request(world, "GET", "/");
    for (int i = 0; i < 2; i++)
        assert_string_equal(world_explain(world), "passes, 1 left for client.ip = \"192.0.2.1\"");
    get(world, "192.0.2.1", NULL);
    assert_string_equal(world_explain(world), "refuses, 0 left for client.ip = \"192.0.2.1\"");
}

static void what_does_not_go_together_is_said(void **state)
{
    struct world *world = *state;
    static const struct world_wrong wrong[] = {
        {"{}", "rate"},
        {"60", "needs a time"},
        {"{rate: {free: 1/min, pro: 2/min}, by: header.x-plan}", "need an \"else\""},
        {"{rate: {free: 1/min, else: 2/min}}", "need a \"by\""},
        {"{rate: 1/min, by: header.x-plan}", "nothing to choose from"},
        {"0/min", "rate"},
        {"{rate: 1/min, per: claims.}", ""},
        {"{rate: 1/min, brust: 3}", "burst"},
        {NULL, NULL},
    };
    world_all_wrong(world, limit_policy.options, wrong);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_burst_passes_and_then_429),
        EACH(the_burst_is_the_rate_when_it_is_not_given),
        EACH(a_unit_that_is_there_is_given_whatever_time_a_worker_has),
        EACH(answers_say_what_is_left),
        EACH(a_bucket_deeper_than_its_rate_is_the_quota),
        EACH(members_are_added_to_those_of_others),
        EACH(a_name_is_shown_in_visible_ascii),
        EACH(a_short_wait_is_one_second),
        EACH(fields_can_be_left_out),
        EACH(a_failure_behind_it_carries_the_fields_too),
        EACH(the_refusal_explains_itself),
        EACH(the_plan_says_which_rate),
        EACH(requests_without_the_key_share_one),
        EACH(counts_survive_a_reload_that_keeps_the_name),
        EACH(decisions_are_counted),
        EACH(explaining_takes_nothing),
        EACH(what_does_not_go_together_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
