#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type headers_policy;

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

static struct world *serve(void **state, const char *config)
{
    struct world *world = *state;
    world_policy(world, &headers_policy, "headers.x", config);
    assert_ok(world_serve(world));
    return world;
}

static const char *sent(struct world *world, const char *name)
{
    struct slice value = fields_combined(&world->x.request.fields, slice_of_text(name));
    return value.data ? arena_text(&world->x.arena, value) : "";
}

static void fields_of_requests_are_set_added_and_removed(void **state)
{
    struct world *world = *state;
    world_request(world, "GET", "/");
    world_field(world, "X-Old", "1");
    world_field(world, "x-set", "theirs");
    world_field(world, "X-Set", "theirs too");
    world_field(world, "X-Add", "theirs");
    serve(state,
        "{request: {set: {X-Set: \"to ${client.ip}\"}, add: {X-Add: ours}, remove: [x-old]}}");
    assert_string_equal(sent(world, "X-Set"), "to 192.0.2.1");
    assert_string_equal(sent(world, "X-Add"), "theirs, ours");
    assert_string_equal(sent(world, "X-Old"), "");
}

static void fields_of_answers_are_set_added_and_removed(void **state)
{
    struct world *world = *state;
    world_request(world, "GET", "/");
    world->next.status = 404;
    world->next.fields[0].name = "Server";
    world->next.fields[0].value = "old";
    world->next.fields[1].name = "Cache-Control";
    world->next.fields[1].value = "private";
    serve(state, "{response: {set: {Cache-Control: no-store, X-Status: \"${response.status}\"}, "
                 "add: {Vary: Accept}, remove: Server}}");
    assert_string_equal(world_answer_field(world, "Server"), "");
    assert_string_equal(world_answer_field(world, "Cache-Control"), "no-store");
    assert_string_equal(world_answer_field(world, "X-Status"), "404");
    assert_string_equal(world_answer_field(world, "Vary"), "Accept");
}

static void a_missing_value_still_takes_away_what_was_there(void **state)
{
    struct world *world = *state;
    world_request(world, "GET", "/");
    world_field(world, "X-User", "forged");
    serve(state, "{request: {set: {X-User: \"${header.x-nobody}\"}}}");
    assert_string_equal(sent(world, "X-User"), "");
    assert_null(fields_next_named(&world->x.request.fields, SLICE("X-User"), NULL));
}

static void control_bytes_never_get_into_a_field(void **state)
{
    struct world *world = *state;
    world_request(world, "GET", "/?q=a%0D%0AX-Evil:%201&t=%09b");
    world_field(world, "X-Q", "old");
    serve(state, "{request: {set: {X-Q: \"${query.q}\", X-T: \"a${query.t}\"}}}");
    assert_string_equal(sent(world, "X-Q"), "");
    assert_string_equal(sent(world, "X-Evil"), "");
    assert_string_equal(sent(world, "X-T"), "a\tb");
    assert_int_equal(world_metric(world, "weir_headers_refused_total{policy=\"headers.x\"}"), 1);
}

static void a_failure_passes_through(void **state)
{
    struct world *world = *state;
    world_request(world, "GET", "/");
    world->next.outcome = UPSTREAM_TIMEOUT;
    world_policy(world, &headers_policy, "headers.x", "{response: {set: {X-A: b}}}");
    assert_status(world_serve(world), UPSTREAM_TIMEOUT);
}

static void the_gateways_own_fields_are_refused(void **state)
{
    static const char *const wrong[] = {"{request: {set: {Content-Length: 3}}}",
        "{request: {remove: [X-A, transfer-encoding]}}", "{response: {add: {Connection: close}}}",
        "{request: {set: {Host: x}}}", "{request: {set: {\"a b\": x}}}",
        "{response: {remove: \"\"}}", "{request: {set: {X-A: \"${response.status}\"}}}",
        "{request: {set: {X-A: \"${nothing}\"}}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(*state, headers_policy.options, wrong[i]);
    const char *text = world_complaints(*state, headers_policy.options, wrong[1]);
    assert_non_null(
        strstr(text, ":1:30: error: the field \"transfer-encoding\" cannot be changed"));
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(fields_of_requests_are_set_added_and_removed),
        EACH(fields_of_answers_are_set_added_and_removed),
        EACH(a_missing_value_still_takes_away_what_was_there),
        EACH(control_bytes_never_get_into_a_field),
        EACH(a_failure_passes_through),
        EACH(the_gateways_own_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
