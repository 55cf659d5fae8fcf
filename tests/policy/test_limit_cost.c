#include "policy/limit_cost.h"

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

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_cost_is_taken_before),
        EACH(what_is_known_after_is_settled_after),
        EACH(a_reserve_of_nothing_passes_until_the_bucket_is_overdrawn),
        EACH(without_an_answer_the_reserve_is_the_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
