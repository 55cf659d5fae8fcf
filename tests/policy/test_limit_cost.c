#include "policy/limit_cost.h"

#include <stdio.h>
#include <string.h>

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

/* The member of RateLimit up to its time. */
static const char *get(struct world *world, const char *items)
{
    world_request(world, "GET", "/");
    if (items)
        world_field(world, "X-Items", items);
    assert_ok(world_serve(world));
    char *text = (char *)(uintptr_t)world_answer_field(world, "RateLimit");
    *strchr(text, ';') = ' ';
    *strchr(text, ';') = '\0';
    return text;
}

static void the_cost_is_taken_before(void **state)
{
    struct world *world = *state;
    world_policy(world, &limit_policy, "limits.x", "{rate: 10/h, cost: header.x-items}");
    assert_string_equal(get(world, "4"), "\"x\" r=6");
    assert_string_equal(get(world, "7"), "\"x\" r=6");
    assert_int_equal(world->x.response.status, 429);
    assert_string_equal(get(world, "1.2"), "\"x\" r=4");
    assert_string_equal(get(world, "-5"), "\"x\" r=4");
    assert_string_equal(get(world, "many"), "\"x\" r=3");
    assert_string_equal(get(world, NULL), "\"x\" r=2");
}

static void what_is_known_after_is_settled_after(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &limit_policy, "limits.x", "{rate: 10/h, cost: response.header.x-used, reserve: 2}");
    world->next.fields[0].name = "X-Used";
    world->next.fields[0].value = "5";
    assert_string_equal(get(world, NULL), "\"x\" r=8");
    assert_string_equal(get(world, NULL), "\"x\" r=3");
    world->next.fields[0].value = "0";
    assert_int_equal(world->x.response.status, 200);
    assert_string_equal(get(world, NULL), "\"x\" r=0"); /* not enough to reserve */
    assert_int_equal(world->x.response.status, 429);
}

static void a_reserve_of_nothing_passes_until_the_bucket_is_overdrawn(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &limit_policy, "limits.x", "{rate: 10/h, cost: response.header.x-used, reserve: 0}");
    world->next.fields[0].name = "X-Used";
    world->next.fields[0].value = "11";
    assert_string_equal(get(world, NULL), "\"x\" r=10");
    assert_string_equal(get(world, NULL), "\"x\" r=0");
    assert_int_equal(world->x.response.status, 429);
}

static void without_an_answer_the_reserve_is_the_cost(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &limit_policy, "limits.x", "{rate: 10/h, cost: response.header.x-used, reserve: 3}");
    world->next.outcome = UPSTREAM_REFUSED;
    world_request(world, "GET", "/");
    assert_status(world_serve(world), UPSTREAM_REFUSED);
    world->next.outcome = OK;
    assert_string_equal(get(world, NULL), "\"x\" r=4");
    assert_string_equal(get(world, NULL), "\"x\" r=1"); /* of an answer that says nothing, too */
}

/* --- numbers in bodies */

/* What is left when the next comes, after one with these bodies. */
static const char *left_after(
    struct world *world, const char *sent, const char *type, const char *body)
{
    world_request(world, "POST", "/");
    world_field(world, "Accept-Encoding", "br, gzip");
    world_body(world, sent, true);
    world->next.type = type;
    world->next.body = body;
    world->next.reads_body = true;
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_body(world), body);
    return get(world, NULL);
}

static struct world *with_cost(struct world *world, const char *cost)
{
    char text[256];
    snprintf(text, sizeof text, "{rate: 1000/h, reserve: 10, cost: %s}", cost);
    world_policy(world, &limit_policy, "limits.x", text);
    return world;
}

#define TOTAL "response.body.usage.total_tokens"
#define USAGE "{\"text\":\"…\",\"usage\":{\"total_tokens\":40}}"

static void a_number_in_an_answer_of_json_is_the_cost(void **state)
{
    struct world *world = with_cost(*state, TOTAL);
    assert_string_equal(
        left_after(world, "", "application/json; charset=utf-8", USAGE), "\"x\" r=950");
    assert_slice(fields_value(&world->x.request.fields, FIELD_ACCEPT_ENCODING), "identity");
    assert_string_equal(left_after(world, "", "application/problem+json", USAGE), "\"x\" r=900");
    assert_string_equal(
        left_after(world, "", "application/x-ndjson", "{}\n" USAGE "\n"), "\"x\" r=850");
}

static void of_a_stream_of_events_the_last_number_counts(void **state)
{
    struct world *world = with_cost(*state, TOTAL);
    assert_string_equal(left_after(world, "", "text/event-stream",
                            "data: {\"usage\":{\"total_tokens\":1}}\n\n"
                            "data: {\"usage\":null}\n\ndata: " USAGE "\n\ndata: [DONE]\n\n"),
        "\"x\" r=950");
}

static void numbers_of_the_request_count_where_the_answer_says_none(void **state)
{
    struct world *world = with_cost(*state, TOTAL " else request.body.max_tokens else 3");
    assert_string_equal(
        left_after(world, "{\"max_tokens\":90}", "application/json", USAGE), "\"x\" r=950");
    assert_string_equal(
        left_after(world, "{\"max_tokens\":90}", "application/json", "{}"), "\"x\" r=857");
    assert_string_equal(left_after(world, "{}", "application/json", "{}"), "\"x\" r=851");
}

static void members_of_an_array_are_items(void **state)
{
    struct world *world = with_cost(*state, "request.body");
    assert_string_equal(left_after(world, "[{},{},{}]", NULL, "ok"), "\"x\" r=987");
}

static void what_cannot_be_read_costs_the_reserve(void **state)
{
    struct world *world = with_cost(*state, TOTAL);
    assert_string_equal(left_after(world, "", "text/plain", USAGE), "\"x\" r=980");
    assert_string_equal(left_after(world, "", "application/json", "{\"usage\":"), "\"x\" r=960");
    world->next.fields[0].name = "Content-Encoding";
    world->next.fields[0].value = "gzip";
    assert_string_equal(left_after(world, "", "application/json", USAGE), "\"x\" r=940");
    assert_int_equal(world_metric(world, "weir_limit_cost_unknown_total{limit=\"limits.x\"}"), 5);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_cost_is_taken_before),
        EACH(what_is_known_after_is_settled_after),
        EACH(a_reserve_of_nothing_passes_until_the_bucket_is_overdrawn),
        EACH(without_an_answer_the_reserve_is_the_cost),
        EACH(a_number_in_an_answer_of_json_is_the_cost),
        EACH(of_a_stream_of_events_the_last_number_counts),
        EACH(numbers_of_the_request_count_where_the_answer_says_none),
        EACH(members_of_an_array_are_items),
        EACH(what_cannot_be_read_costs_the_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
