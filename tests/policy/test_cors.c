#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type cors_policy;

#define SHOP "https://shop.example"

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

static void use(void **state, const char *config)
{
    world_policy(*state, &cors_policy, "cors.x", config);
}

static struct world *ask(void **state, const char *method, const char *origin)
{
    struct world *world = *state;
    world_request(world, method, "/");
    if (origin)
        world_field(world, "Origin", origin);
    return world;
}

static struct world *preflight(void **state, const char *origin, const char *method)
{
    struct world *world = ask(state, "OPTIONS", origin);
    world_field(world, "Access-Control-Request-Method", method);
    return world;
}

static void a_preflight_is_answered_here(void **state)
{
    use(state,
        "{origins: [" SHOP "], methods: [GET, PUT], headers: [X-A, Content-Type], expose: X-B, "
        "credentials: true, max-age: 1h}");
    struct world *world = preflight(state, SHOP, "PUT");
    assert_ok(world_serve(world));
    assert_int_equal(world->next.calls, 0);
    assert_int_equal(world->x.response.status, 204);
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), SHOP);
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Methods"), "GET, PUT");
    assert_string_equal(
        world_answer_field(world, "Access-Control-Allow-Headers"), "X-A, Content-Type");
    assert_string_equal(world_answer_field(world, "Access-Control-Max-Age"), "3600");
    assert_string_equal(world_answer_field(world, "Access-Control-Expose-Headers"), "");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Private-Network"), "");
    assert_string_equal(world_answer_field(world, "Vary"),
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
}

static void a_preflight_of_a_stranger_is_denied(void **state)
{
    use(state, SHOP);
    struct world *world = preflight(state, "https://evil.example", "GET");
    assert_status(world_serve(world), CORS_DENIED);
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), "");
    assert_string_equal(world_answer_field(world, "Vary"), "Origin");
    world_field(preflight(state, SHOP, "GET"), "Origin", SHOP);
    assert_status(world_serve(world), CORS_DENIED); /* two origins are none */
}

static void a_method_that_is_not_allowed_is_shown_those_that_are(void **state)
{
    use(state, SHOP);
    struct world *world = preflight(state, SHOP, "DELETE");
    assert_ok(world_serve(world));
    assert_int_equal(world->x.response.status, 204);
    assert_string_equal(
        world_answer_field(world, "Access-Control-Allow-Methods"), "GET, HEAD, POST");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Headers"), "");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Credentials"), "");
    assert_string_equal(world_explain(world), "allows " SHOP "; answers the preflight");
    ask(state, "GET", "https://evil.example");
    assert_string_equal(world_explain(world), "does not allow https://evil.example");
    ask(state, "GET", NULL);
    assert_string_equal(world_explain(world), "no origin");
}

static void options_without_both_fields_is_no_preflight(void **state)
{
    use(state, SHOP);
    struct world *world = ask(state, "OPTIONS", SHOP);
    assert_ok(world_serve(world));
    assert_int_equal(world->next.calls, 1);
    world_field(ask(state, "OPTIONS", NULL), "Access-Control-Request-Method", "GET");
    assert_ok(world_serve(world));
    assert_int_equal(world->next.calls, 1);
    world_field(ask(state, "POST", SHOP), "Access-Control-Request-Method", "GET");
    assert_ok(world_serve(world));
    assert_int_equal(world->next.calls, 1);
}

static void an_answer_is_marked_for_its_origin(void **state)
{
    use(state,
        "{origins: [" SHOP ", \"https://*.shop.example\"], expose: [X-A, X-B], credentials: true}");
    struct world *world = ask(state, "GET", "https://a.shop.example");
    assert_ok(world_serve(world));
    assert_string_equal(
        world_answer_field(world, "Access-Control-Allow-Origin"), "https://a.shop.example");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(world_answer_field(world, "Access-Control-Expose-Headers"), "X-A, X-B");
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Methods"), "");
    assert_string_equal(world_answer_field(world, "Vary"), "Origin");
}

static void strangers_are_served_without_the_fields(void **state)
{
    use(state, SHOP);
    static const char *const strangers[] = {"https://evil.example", "null", NULL};
    for (int i = 0; i < 3; i++) {
        struct world *world = ask(state, "GET", strangers[i]);
        assert_ok(world_serve(world));
        assert_int_equal(world->next.calls, 1);
        assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), "");
        assert_string_equal(world_answer_field(world, "Vary"), "Origin"); /* caches must know */
    }
}

static void what_the_service_says_is_replaced(void **state)
{
    use(state, SHOP);
    struct world *world = ask(state, "GET", "https://evil.example");
    static const char *const names[] = {"access-control-allow-origin",
        "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
        "Access-Control-Allow-Private-Network"};
    for (int i = 0; i < 7; i++) {
        world->next.fields[i].name = names[i];
        world->next.fields[i].value = "*";
    }
    world->next.fields[7].name = "Vary";
    world->next.fields[7].value = "Accept, origin";
    assert_ok(world_serve(world));
    for (int i = 0; i < 7; i++)
        assert_string_equal(world_answer_field(world, names[i]), "");
    assert_string_equal(world_answer_field(world, "Vary"), "Accept, origin");
    ask(state, "GET", SHOP);
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), SHOP);
    world->next.fields[7].value = "*";
    ask(state, "GET", SHOP);
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Vary"), "*");
}

static void what_is_for_all_is_marked_whoever_asks(void **state)
{
    use(state, "\"*\"");
    struct world *world = ask(state, "GET", NULL);
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), "*");
    assert_string_equal(world_answer_field(world, "Vary"), "");
    preflight(state, "https://any.example", "GET");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), "*");
}

static void a_failure_is_marked_too(void **state)
{
    use(state, SHOP);
    struct world *world = ask(state, "GET", SHOP);
    world->next.outcome = UPSTREAM_REFUSED;
    assert_status(world_serve(world), UPSTREAM_REFUSED);
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), SHOP);
    exchange_respond_problem(&world->x, UPSTREAM_REFUSED, SLICE_NONE);
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), SHOP);
}

static void patterns_match_whole_origins(void **state)
{
    use(state, "{patterns: [\"https://pr-[0-9]+\\\\.preview\\\\.example\"]}");
    struct world *world = ask(state, "GET", "https://pr-12.preview.example");
    assert_ok(world_serve(world));
    assert_string_equal(
        world_answer_field(world, "Access-Control-Allow-Origin"), "https://pr-12.preview.example");
    ask(state, "GET", "https://pr-12.preview.example.evil.example");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Origin"), "");
}

static void private_networks_are_opened_when_asked(void **state)
{
    use(state, "{origins: " SHOP ", private-network: true}");
    struct world *world = preflight(state, SHOP, "GET");
    world_field(world, "Access-Control-Request-Private-Network", "true");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Private-Network"), "true");
    preflight(state, SHOP, "GET");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Private-Network"), "");
    assert_non_null(strstr(world_answer_field(world, "Vary"), "private-network"));
}

static void stars_and_credentials_do_not_go_together(void **state)
{
    static const char *const wrong[] = {"{origins: \"*\", credentials: true}",
        "{origins: " SHOP ", headers: \"*\", credentials: true}",
        "{origins: " SHOP ", methods: [GET, \"*\"], credentials: true}",
        "{origins: " SHOP ", expose: \"*\", credentials: true}", "{}", "{origins: []}",
        "shop.example", "{origins: " SHOP ", methods: [\"G T\"]}",
        "{origins: " SHOP ", headers: [\"a:\"]}", "{patterns: [\"(\"]}",
        "{origins: [" SHOP ", \"https://a/\"]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(*state, cors_policy.options, wrong[i]);
    assert_non_null(strstr(world_complaints(*state, cors_policy.options, wrong[10]),
        ":1:38: error: \"https://a/\" is no origin: an origin has no path"));
    use(state, "{origins: \"*\", headers: \"*\", methods: \"*\", expose: \"*\"}");
    struct world *world = preflight(state, SHOP, "GET");
    assert_ok(world_serve(world));
    assert_string_equal(world_answer_field(world, "Access-Control-Allow-Headers"), "*");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_preflight_is_answered_here),
        EACH(a_preflight_of_a_stranger_is_denied),
        EACH(a_method_that_is_not_allowed_is_shown_those_that_are),
        EACH(options_without_both_fields_is_no_preflight),
        EACH(an_answer_is_marked_for_its_origin),
        EACH(strangers_are_served_without_the_fields),
        EACH(what_the_service_says_is_replaced),
        EACH(what_is_for_all_is_marked_whoever_asks),
        EACH(a_failure_is_marked_too),
        EACH(patterns_match_whole_origins),
        EACH(private_networks_are_opened_when_asked),
        EACH(stars_and_credentials_do_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
