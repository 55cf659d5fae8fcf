#include "policy/claims.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

static const struct json_value *read_claims(const char *text)
{
    struct json_value *root;
    assert_ok(json_parse(&arena, slice_of_text(text), NULL, &root, NULL));
    return root;
}

/* As JSON, in the order in which they stand. */
static void check(const struct json_value *claims, const char *wanted)
{
    struct text text = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, claims);
    assert_true(json_writer_is_done(&writer));
    if (!slice_equal(text_slice(&text), slice_of_text(wanted)))
        fail_msg("%.*s is not %s", SLICE_ARG(text_slice(&text)), wanted);
    text_release(&text);
}

static void claims_are_made(void **state)
{
    (void)state;
    const struct slice names[] = {SLICE_INIT("a"), SLICE_INIT("b")};
    struct json_value *claims = claims_new(&arena);
    assert_non_null(claims_add_texts(&arena, claims, "names", names, 2));
    assert_non_null(claims_add_text(&arena, claims, "sub", SLICE("u1")));
    check(claims, "{\"sub\":\"u1\",\"names\":[\"a\",\"b\"]}");
    assert_int_equal(claims->count, 2);
    assert_null(claims_add_text(&arena, NULL, "sub", SLICE("u1")));
    assert_null(claims_with_text(&arena, NULL, "sub", SLICE("u1")));
    assert_null(claims_with_scopes(&arena, NULL));
}

static void what_was_given_stays_as_it_is(void **state)
{
    (void)state;
    const struct json_value *claims = read_claims("{\"a\":1}");
    check(claims_with_text(&arena, claims, "sub", SLICE("u1")), "{\"sub\":\"u1\",\"a\":1}");
    check(claims, "{\"a\":1}");
}

static void scopes_are_a_list(void **state)
{
    (void)state;
    static const struct {
        const char *claims, *with;
    } rows[] = {
        {"{\"scope\":\"b  a \"}", "{\"scopes\":[\"b\",\"a\"],\"scope\":\"b  a \"}"},
        {"{\"scope\":\"\"}", "{\"scopes\":[],\"scope\":\"\"}"},
        {"{\"scp\":\"a\"}", "{\"scopes\":[\"a\"],\"scp\":\"a\"}"},
        {"{\"scp\":[\"a\",7]}", "{\"scopes\":[\"a\",7],\"scp\":[\"a\",7]}"},
        {"{\"scp\":\"a\",\"scope\":\"b\"}", "{\"scopes\":[\"b\"],\"scp\":\"a\",\"scope\":\"b\"}"},
        {"{\"scope\":\"a\",\"scopes\":\"b\"}", "{\"scope\":\"a\",\"scopes\":\"b\"}"},
        {"{\"scope\":7}", "{\"scope\":7}"},
        {"{\"sub\":\"u1\"}", "{\"sub\":\"u1\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(claims_with_scopes(&arena, read_claims(rows[i].claims)), rows[i].with);
}

/* Large objects have an index of their members, which would not know the new one. */
static void many_members_hide_none(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    text_add_literal(&text, "{\"scope\":\"write\"");
    for (int i = 0; i < 200; i++)
        text_format(&text, ",\"claim-%d\":%d", i, i);
    text_add_literal(&text, "}");
    struct slice copy = arena_copy(&arena, text_slice(&text));
    text_release(&text);
    struct json_value *root;
    assert_ok(json_parse(&arena, copy, NULL, &root, NULL));
    const struct json_value *claims = claims_with_scopes(&arena, root);
    assert_slice(json_get(claims, SLICE("scopes"))->first->text, "write");
    assert_int_equal(json_number_of(claims, "claim-199"), 199);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(claims_are_made),
        TEST(what_was_given_stays_as_it_is),
        TEST(scopes_are_a_list),
        TEST(many_members_hide_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
