#include "support/unit.h"
#include "support/world.h"

extern const struct handler_type redirect_handler;

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

static const char *location(void **state, const char *config, const char *target)
{
    struct world *world = *state;
    world_handler(world, &redirect_handler, config);
    world_request(world, "GET", target);
    assert_ok(world_serve(world));
    assert_true(body_is_empty(world->x.response.body));
    return world_answer_field(world, "Location");
}

#define assert_location(config, target, expected) \
    assert_string_equal(location(state, config, target), expected)

static void the_usual_code_is_307(void **state)
{
    struct world *world = *state;
    assert_location("https://new.example/", "/old", "https://new.example/");
    assert_int_equal(world->x.response.status, 307);
    assert_location("{to: /new, code: 308}", "/old", "/new");
    assert_int_equal(world->x.response.status, 308);
    assert_string_equal(world_explain(world), "redirects with 308 to /new");
}

static void the_target_is_a_template(void **state)
{
    assert_location("https://new.example${path}", "/a/b%20c?d", "https://new.example/a/b%20c");
    assert_location("\"https://new.example/?q=${query.q}\"", "/?q=a%22%3Cb%20%C3%A4%5C",
        "https://new.example/?q=a%22%3Cb%20%C3%A4%5C");
    assert_location("\"/${query.q}\"", "/?q=%0D%0ASet-Cookie:%20a=b", "/%0D%0ASet-Cookie:%20a=b");
    assert_location("\"/${query.q}\"", "/?q=%7F%7E", "/%7F~");
}

static void the_query_can_be_kept(void **state)
{
    assert_location("{to: /new, keep-query: true}", "/old?a=1", "/new?a=1");
    assert_location("{to: \"/new?b=2#c\", keep-query: true}", "/old?a=1", "/new?b=2&a=1#c");
    assert_location("{to: /new, keep-query: true}", "/old", "/new");
    assert_location("{to: /new, keep-query: true}", "/old?", "/new");
    assert_location("/new", "/old?a=1", "/new");
}

static void a_path_does_not_become_another_host(void **state)
{
    assert_location("${path}/", "//evil.example", "/evil.example/");
    assert_location("${path}", "////evil.example", "/evil.example");
    assert_location("//cdn.example${path}", "/x", "//cdn.example/x");
    assert_location("\"/${query.q}\"", "/?q=/evil.example", "/evil.example");
    assert_location("\"/${query.q}\"", "/?q=%5Cevil.example", "/%5Cevil.example");
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const wrong[] = {"{}", "\"\"", "{to: /x, code: 304}", "{to: /x, code: 404}",
        "{to: \"${nothing}\"}", "[a, b]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(*state, redirect_handler.options, wrong[i]);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_usual_code_is_307),
        EACH(the_target_is_a_template),
        EACH(the_query_can_be_kept),
        EACH(a_path_does_not_become_another_host),
        EACH(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
