#include "policy/idempotency_key.h"

#include "base/json.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

static void a_key_is_a_string_or_the_same_bare(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"\"8e03978e-40d5\"", "8e03978e-40d5"},
        {"8e03978e-40d5", "8e03978e-40d5"},
        {" \"a b\" ", "a b"},
        {"\"a\\\"b\"", "a\"b"},
        {"\"a\";x=1", "a"},
        {"urn:uuid:1/2+3==", "urn:uuid:1/2+3=="},
        {"azAZ09", "azAZ09"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct slice key;
        assert_ok(idempotency_key_parse(&arena, slice_of_text(good[i][0]), &key));
        assert_slices(key, slice_of_text(good[i][1]));
    }
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "  ", "\"\"", "\"a", "a b", "a, b", "\"a\", \"b\"",
        "\"a\" b", "a\"b", "(a)", "\xC3\xA4"};
    struct slice key = SLICE("untouched");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_status(idempotency_key_parse(&arena, slice_of_text(bad[i]), &key), INVALID);
    assert_slice(key, "untouched");
}

static void a_key_is_at_most_255_bytes(void **state)
{
    (void)state;
    char text[IDEMPOTENCY_KEY_MAX + 1];
    struct slice key;
    memset(text, 'a', sizeof text);
    assert_ok(idempotency_key_parse(&arena, slice_of(text, sizeof text - 1), &key));
    assert_int_equal(key.size, IDEMPOTENCY_KEY_MAX);
    assert_status(idempotency_key_parse(&arena, slice_of(text, sizeof text), &key), INVALID);
}

static struct exchange *exchange_in(struct arena *from)
{
    struct exchange *x = arena_new(from, struct exchange);
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, from);
    x->facts.route = SLICE("POST /orders");
    return x;
}

static void add_key(struct exchange *x, const char *value)
{
    assert_ok(fields_add_known(&x->request.fields, FIELD_IDEMPOTENCY_KEY, slice_of_text(value)));
}

static void a_request_has_one_key_or_none(void **state)
{
    (void)state;
    struct exchange *x = exchange_in(&arena);
    struct slice key;
    assert_status(idempotency_key_of(x, &key), NOT_FOUND);
    add_key(x, "\"one\"");
    assert_ok(idempotency_key_of(x, &key));
    assert_slice(key, "one");
    add_key(x, "\"two\"");
    assert_status(idempotency_key_of(x, &key), INVALID);
    fields_remove_known(&x->request.fields, FIELD_IDEMPOTENCY_KEY);
    assert_status(idempotency_key_of(x, &key), NOT_FOUND);
    arena_release(&x->arena);
}

static struct slice name_of(
    struct exchange *x, const char *policy, const char *principal, const char *key)
{
    struct slice name = SLICE_NONE;
    assert_ok(idempotency_name(
        x, slice_of_text(policy), slice_of_text(principal), slice_of_text(key), &name));
    return name;
}

static void a_key_is_found_by_all_of_its_scope_only(void **state)
{
    (void)state;
    struct exchange *x = exchange_in(&arena);
    struct slice name = name_of(x, "p", "ann", "k");
    assert_slices(name, name_of(x, "p", "ann", "k"));
    assert_true(slice_has_prefix(name, SLICE("idempotency:")));
    assert_int_equal(name.size, 12 + 64);
    assert_false(slice_equal(name, name_of(x, "q", "ann", "k")));
    assert_false(slice_equal(name, name_of(x, "p", "bob", "k")));
    assert_false(slice_equal(name, name_of(x, "p", "ann", "l")));
    assert_false(slice_equal(name, name_of(x, "p", "annk", "")));
    x->facts.route = SLICE("POST /others");
    assert_false(slice_equal(name, name_of(x, "p", "ann", "k")));
    arena_release(&x->arena);
}

static void claim(struct exchange *x, struct arena *from, const char *text)
{
    struct json_value *claims;
    assert_ok(json_parse(from, slice_of_text(text), NULL, &claims, NULL));
    x->claims = claims;
}

static void a_principal_is_what_is_known_of_a_client(void **state)
{
    (void)state;
    struct exchange *x = exchange_in(&arena);
    assert_null(idempotency_principal(x, SLICE_NONE).data);
    claim(x, &arena, "{\"iss\": \"a\", \"sub\": \"ann\"}");
    struct slice ann = idempotency_principal(x, SLICE_NONE);
    assert_non_null(ann.data);
    struct slice tenant = idempotency_principal(x, SLICE("acme"));
    assert_false(slice_equal(ann, tenant));
    assert_false(slice_equal(tenant, idempotency_principal(x, SLICE("other"))));
    claim(x, &arena, "{\"iss\": \"a\", \"sub\": \"bob\"}");
    assert_false(slice_equal(ann, idempotency_principal(x, SLICE_NONE)));
    claim(x, &arena, "{\"iss\": \"b\", \"sub\": \"ann\"}");
    assert_false(slice_equal(ann, idempotency_principal(x, SLICE_NONE)));
    assert_slices(tenant, idempotency_principal(x, SLICE("acme")));
    claim(x, &arena, "{\"iss\": \"aan\", \"sub\": \"n\"}");
    assert_false(slice_equal(ann, idempotency_principal(x, SLICE_NONE)));
    claim(x, &arena, "{\"iss\": \"a\"}");
    assert_null(idempotency_principal(x, SLICE_NONE).data);
    arena_release(&x->arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_a_string_or_the_same_bare),
        TEST(what_is_no_key_is_refused),
        TEST(a_key_is_at_most_255_bytes),
        TEST(a_request_has_one_key_or_none),
        TEST(a_key_is_found_by_all_of_its_scope_only),
        TEST(a_principal_is_what_is_known_of_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
