#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type rewrite_policy;

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

/* What the service sees of `target`. */
static const char *rewritten(void **state, const char *config, const char *target)
{
    struct world *world = *state;
    world_policy(world, &rewrite_policy, "rewrites.x", config);
    world_request(world, "GET", target);
    enum status e = world_serve(world);
    if (e)
        return status_word(e);
    text_clear(&world->text);
    text_format(&world->text, "%s%s%s", world->next.path, world->x.request.query.data ? "?" : "",
        world->next.query);
    text_add_char(&world->text, '\0');
    return world->text.data;
}

#define assert_rewritten(config, target, expected) \
    assert_string_equal(rewritten(state, config, target), expected)

static void prefixes_are_whole_segments(void **state)
{
    assert_rewritten("{strip-prefix: /api}", "/api/users?x=1", "/users?x=1");
    assert_rewritten("{strip-prefix: /api}", "/api", "/");
    assert_rewritten("{strip-prefix: /api/}", "/api/users", "/users");
    assert_rewritten("{strip-prefix: /api}", "/apis/users", "/apis/users");
    assert_rewritten("{strip-prefix: /api}", "/other", "/other");
    assert_rewritten("{add-prefix: /v2}", "/users", "/v2/users");
    assert_rewritten("{add-prefix: /v2/}", "/", "/v2/");
    assert_rewritten("{strip-prefix: /api, add-prefix: /v2}", "/api/users", "/v2/users");
}

static void a_template_is_another_path(void **state)
{
    assert_rewritten("{path: /a/b}", "/x?y=1", "/a/b?y=1");
    assert_rewritten("{path: \"/by/${query.id}\"}", "/x?id=a%20b%3Fc%23d%25e",
        "/by/a%20b%3Fc%23d%25e?id=a%20b%3Fc%23d%25e");
    assert_rewritten("{path: \"/items/${query.id}:buy\"}", "/x?id=7", "/items/7:buy?id=7");
    assert_rewritten("{path: \"v/${query.id}\"}", "/x?id=7", "/v/7?id=7");
    assert_rewritten(
        "{path: \"/azAZ09-._~!$&'()*+,;=:@/%\"}", "/x", "/azAZ09-._~!$&'()*+,;=:@/%25");
}

static void no_value_leads_out_of_where_the_configuration_points(void **state)
{
    static const char *const targets[] = {"/x?id=../admin", "/x?id=..", "/x?id=a%2F..%2F..%2Fb",
        "/x?id=%2E%2E/b", "/x?id=.", "/x?id=%00", "/x?id=a%0Ab", "/x?id=a%5Cb", "/x?id=..;a/b"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        assert_rewritten("{path: \"/files/${query.id}\"}", targets[i], "bad-path");
    assert_rewritten("{path: {match: ^/x, with: /.}, add-prefix: /a}", "/x./b", "bad-path");
}

static void a_pattern_replaces_in_the_path(void **state)
{
    assert_rewritten("{path: {match: ^/v1/(.*), with: /v2/$1}}", "/v1/a/b?q", "/v2/a/b?q");
    assert_rewritten("{path: {match: ^/v1/(.*), with: $1}}", "/v1/a%20b", "/a%20b");
    assert_rewritten("{path: {match: ^/v1/, with: /v2/}}", "/v3/a", "/v3/a");
    assert_rewritten("{path: {match: b, with: c}}", "/abb", "/acb");
}

static void parameters_are_set_and_removed(void **state)
{
    assert_rewritten("{query: {remove: [a]}}", "/?a=1&b=2&a=3&c", "/?b=2&c");
    assert_rewritten("{query: {remove: a}}", "/?a=1", "/");
    assert_rewritten("{query: {remove: a}}", "/", "/");
    assert_rewritten("{query: {remove: \"a b\"}}", "/?a+b=1&a%20b=2&c=%ZZ&%ZZ=1", "/?c=%ZZ&%ZZ=1");
    assert_rewritten(
        "{query: {set: {a: \"x&y=${query.b}\"}}}", "/?b=p%20q&a=1", "/?b=p%20q&a=x%26y%3Dp%20q");
    assert_rewritten("{query: {set: {a: 1, b: 2}, remove: c}}", "/?c=1", "/?a=1&b=2");
    assert_rewritten("{query: {set: {a/b: c/d}}}", "/", "/?a%2Fb=c%2Fd");
}

static void the_host_is_another(void **state)
{
    struct world *world = *state;
    world_policy(world, &rewrite_policy, "rewrites.x", "{host: \"${query.h}.example:81\"}");
    world_request(world, "GET", "/?h=A");
    world_field(world, "Host", "shop.example");
    assert_ok(world_serve(world));
    assert_string_equal(world->next.host, "A.example:81");
    assert_slice(world->x.request.host, "a.example");
    assert_slice(fields_value(&world->x.request.fields, FIELD_HOST), "A.example:81");
    world_request(world, "GET", "/?h=a/b");
    assert_status(world_serve(world), BAD_HOST);
}

static void the_server_as_a_whole_has_no_path(void **state)
{
    assert_rewritten("{add-prefix: /v2}", "*", "*");
}

static void explaining_changes_nothing(void **state)
{
    struct world *world = *state;
    world_policy(world, &rewrite_policy, "rewrites.x", "{add-prefix: /v2, query: {set: {a: 1}}}");
    world_request(world, "GET", "/x");
    assert_string_equal(world_explain(world), "/v2/x?a=1");
    assert_slice(world->x.request.path, "/x");
    assert_null(world->x.request.query.data);
}

static void what_cannot_be_a_path_is_refused(void **state)
{
    static const char *const wrong[] = {"{strip-prefix: api}", "{add-prefix: /a/../..}",
        "{add-prefix: \"\"}", "{path: {match: \"(\", with: /}}", "{path: {match: a}}",
        "{path: {match: a, with: \"/b?c\"}}", "{path: {match: a(b), with: /$2}}",
        "{path: {match: a, with: \"/${x}\"}}", "{path: {match: a, with: /$}}",
        "{path: \"/${query}x${\"}", "{host: [a]}", "{hots: a}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        world_complaints(*state, rewrite_policy.options, wrong[i]);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(prefixes_are_whole_segments),
        EACH(a_template_is_another_path),
        EACH(no_value_leads_out_of_where_the_configuration_points),
        EACH(a_pattern_replaces_in_the_path),
        EACH(parameters_are_set_and_removed),
        EACH(the_host_is_another),
        EACH(the_server_as_a_whole_has_no_path),
        EACH(explaining_changes_nothing),
        EACH(what_cannot_be_a_path_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
