#include "support/unit.h"
#include "support/world.h"

extern const struct handler_type respond_handler;

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
    world_handler(world, &respond_handler, config);
    world_request(world, "GET", "/a?q=x%22y%0Az");
    assert_ok(world_serve(world));
    return world;
}

static void a_number_alone_is_the_status(void **state)
{
    struct world *world = serve(state, "204");
    assert_int_equal(world->x.response.status, 204);
    assert_true(body_is_empty(world->x.response.body));
    assert_string_equal(world_answer_field(world, "Content-Type"), "");
    assert_string_equal(world_explain(world), "answers 204");
}

static void a_text_alone_is_the_body(void **state)
{
    struct world *world = serve(state, "\"hello ${path}\"");
    assert_int_equal(world->x.response.status, 200);
    assert_string_equal(world_answer_body(world), "hello /a");
    assert_int_equal(world->x.response.body->length, 8);
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(world_answer_body(serve(state, "\"404\"")), "404");
    assert_string_equal(world_answer_body(serve(state, "2024")), "2024");
    assert_string_equal(world_answer_body(serve(state, "yes")), "yes");
}

static void fields_are_set(void **state)
{
    struct world *world =
        serve(state, "{status: 503, body: \"{}\", type: application/json, "
                     "headers: {Retry-After: 30, X-Q: \"${query.q}\", X-P: \"<${path}>\"}}");
    assert_int_equal(world->x.response.status, 503);
    assert_string_equal(world_answer_field(world, "Content-Type"), "application/json");
    assert_string_equal(world_answer_field(world, "Retry-After"), "30");
    assert_string_equal(world_answer_field(world, "X-P"), "</a>");
    assert_string_equal(world_answer_field(world, "X-Q"), ""); /* it has a line break */
}

static void a_problem_is_a_document(void **state)
{
    struct world *world =
        serve(state, "{status: 410, problem: {type: \"https://shop.example/moved\", title: Moved, "
                     "detail: \"not here: ${query.q}\"}}");
    assert_int_equal(world->x.response.status, 410);
    assert_string_equal(world_answer_field(world, "Content-Type"), "application/problem+json");
    assert_string_equal(world_answer_body(world),
        "{\"type\":\"https://shop.example/moved\",\"title\":\"Moved\",\"status\":410,"
        "\"detail\":\"not here: x\\\"y\\nz\"}\n");
    world = serve(state, "{status: 410, problem: {}}");
    assert_string_equal(
        world_answer_body(world), "{\"type\":\"about:blank\",\"title\":\"Gone\",\"status\":410}\n");
}

static void what_does_not_go_together_is_said(void **state)
{
    static const char *const wrong[] = {"100", "600", "{status: 99}", "{status: 204, body: x}",
        "{status: 304, problem: {}}", "{body: a, problem: {}}", "{problem: {}, type: a/b}",
        "{headers: {Content-Length: 3}}", "{headers: {Transfer-Encoding: chunked}}",
        "{status: 200, bdy: x}", "\"${nothing}\"", "[a]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(*state, respond_handler.options, wrong[i]);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_number_alone_is_the_status),
        EACH(a_text_alone_is_the_body),
        EACH(fields_are_set),
        EACH(a_problem_is_a_document),
        EACH(what_does_not_go_together_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
