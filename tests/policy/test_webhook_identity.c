#include "policy/webhook_identity.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

static const struct webhook_form *form_of(const char *word)
{
    const struct webhook_form *form = webhook_forms;
    while (strcmp(form->word, word) != 0)
        form++;
    return form;
}

static struct slice identify(
    const char *form, struct webhook_claim claim, struct slice body, bool by_content)
{
    struct slice identity = SLICE_NONE;
    assert_ok(webhook_identity(form_of(form), &claim, body, by_content, &arena, &identity));
    return identity;
}

static const struct webhook_claim named = {.id = SLICE_INIT("d-1")}, nameless = {.count = 0};

static void a_field_names_it(void **state)
{
    (void)state;
    assert_slice(identify("github", named, SLICE("{\"id\": \"b\"}"), false), "id d-1");
    assert_slice(identify("stripe", named, SLICE("{\"id\": \"b\"}"), false), "id d-1");
}

static void else_a_member_of_the_body(void **state)
{
    (void)state;
    assert_slice(identify("stripe", nameless, SLICE("{\"id\": \"evt_1\"}"), false), "id evt_1");
    static const char *const odd[] = {"", "no JSON", "[]", "{}", "{\"id\": 1}", "{\"id\": \"\"}",
        "{\"data\": {\"id\": \"evt_1\"}}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_true(slice_has_prefix(
            identify("stripe", nameless, slice_of_text(odd[i]), false), SLICE("content ")));
    /* Whose form has no such member does not have one by chance. */
    assert_true(slice_has_prefix(
        identify("github", nameless, SLICE("{\"id\": \"evt_1\"}"), false), SLICE("content ")));
}

static void an_endless_id_is_none(void **state)
{
    (void)state;
    char id[WEBHOOK_ID_MAX + 2];
    memset(id, 'i', sizeof id);
    for (int size = WEBHOOK_ID_MAX; size <= WEBHOOK_ID_MAX + 1; size++) {
        struct slice body = arena_format(&arena, "{\"id\": \"%.*s\"}", size, id);
        bool is_taken = slice_has_prefix(identify("stripe", nameless, body, false), SLICE("id i"));
        assert_int_equal(is_taken, size == WEBHOOK_ID_MAX);
    }
}

static void content_is_what_was_signed(void **state)
{
    (void)state;
    const struct webhook_claim first = {.id = SLICE_INIT("a"), .time_text = SLICE_INIT("17")},
                               later = {.id = SLICE_INIT("a"), .time_text = SLICE_INIT("18")},
                               other = {.id = SLICE_INIT("b"), .time_text = SLICE_INIT("17")};
    struct slice body = SLICE("{\"id\": \"evt_1\"}");
    struct slice identity = identify("stripe", first, body, true);
    assert_true(slice_has_prefix(identity, SLICE("content ")));
    assert_slices(identify("stripe", first, body, true), identity);
    assert_false(slice_equal(identify("stripe", first, SLICE("{}"), true), identity));
    assert_false(slice_equal(identify("stripe", later, body, true), identity));
    assert_slices(identify("stripe", other, body, true), identity); /* Stripe does not sign it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_field_names_it),
        TEST(else_a_member_of_the_body),
        TEST(an_endless_id_is_none),
        TEST(content_is_what_was_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
