#include "policy/idempotency_fingerprint.h"

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

static struct slice query_of(struct world *world, const char *query)
{
    return idempotency_query(&world->arena, slice_of_text(query));
}

static void queries_that_mean_the_same_are_the_same(void **state)
{
    static const char *const same[][2] = {
        {"", "&&"},
        {"a=1&b=2", "b=2&a=1"},
        {"a=%41", "a=A"},
        {"a=x+y", "a=x%20y"},
        {"a", "a="},
        {"a=1&a=2&b=3", "b=3&a=1&a=2"},
    };
    static const char *const different[][2] = {
        {"a=1", ""},
        {"a=1&a=2", "a=2&a=1"},
        {"a=1&b=2", "a=3&b=2"},
        {"a=1&b=2", "a=1&b=3"},
        {"a=1&b=2", "a=1&c=2"},
        {"b=1&c=2", "a=1&c=2"},
        {"a=b", "ab="},
        {"a=1%26b=2", "a=1&b=2"},
        {"a=%4", "a=4"},
        {"a=1", "A=1"},
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_slices(query_of(world, same[i][0]), query_of(world, same[i][1]));
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_false(
            slice_equal(query_of(world, different[i][0]), query_of(world, different[i][1])));
}

/* Of a request as the test has made it. */
static struct slice fingerprint(struct world *world, const char *body, bool is_anonymous)
{
    struct slice name = SLICE("content-type");
    struct option_list fields = {&name, 1};
    struct idempotency_request request = {
        .body = slice_of_text(body), .fields = &fields, .is_anonymous = is_anonymous};
    char text[TLS_DIGEST_SIZE];
    assert_ok(idempotency_fingerprint(&world->x, &request, text));
    return arena_copy(&world->arena, slice_of_text(text));
}

static struct slice of(struct world *world, const char *method, const char *target,
    const char *type, const char *authorization, const char *body, bool is_anonymous)
{
    world_request(world, method, target);
    if (type)
        world_field(world, "Content-Type", type);
    if (authorization)
        world_field(world, "Authorization", authorization);
    return fingerprint(world, body, is_anonymous);
}

static void every_part_counts(void **state)
{
    struct world *world = *state;
    struct slice first = of(world, "POST", "/a?x=1", "text/plain", NULL, "body", false);
    assert_int_equal(first.size, 64);
    assert_slices(first, of(world, "POST", "/a?x=1", "text/plain", NULL, "body", false));
    assert_false(slice_equal(first, of(world, "PUT", "/a?x=1", "text/plain", NULL, "body", false)));
    assert_false(
        slice_equal(first, of(world, "POST", "/b?x=1", "text/plain", NULL, "body", false)));
    assert_false(
        slice_equal(first, of(world, "POST", "/a?x=2", "text/plain", NULL, "body", false)));
    assert_false(slice_equal(first, of(world, "POST", "/a?x=1", "text/html", NULL, "body", false)));
    assert_false(slice_equal(first, of(world, "POST", "/a?x=1", NULL, NULL, "body", false)));
    assert_false(slice_equal(first, of(world, "POST", "/a?x=1", "text/plain", NULL, "", false)));
}

static void credentials_count_when_nobody_knows_who_asks(void **state)
{
    struct world *world = *state;
    struct slice ann = of(world, "POST", "/a", NULL, "Bearer ann", "", true);
    assert_slices(ann, of(world, "POST", "/a", NULL, "Bearer ann", "", true));
    assert_false(slice_equal(ann, of(world, "POST", "/a", NULL, "Bearer bob", "", true)));
    assert_false(slice_equal(ann, of(world, "POST", "/a", NULL, NULL, "", true)));
    struct slice known = of(world, "POST", "/a", NULL, "Bearer ann", "", false);
    assert_slices(known, of(world, "POST", "/a", NULL, "Bearer other", "", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries_that_mean_the_same_are_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_part_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            credentials_count_when_nobody_knows_who_asks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
