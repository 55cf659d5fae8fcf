#include "http/request_id.h"

#include "run/loop.h"
#include "support/unit.h"

static int set_up(void **state)
{
    static struct loop *loop;
    *state = &loop;
    return loop_new(NULL, &loop) != OK;
}

static int tear_down(void **state)
{
    loop_free(*(struct loop **)*state);
    return 0;
}

/* The id of a request that came with `sent` (NULL: without), copied. */
static void assign(struct exchange *x, const char *sent, bool is_trusted)
{
    *x = (struct exchange){.is_peer_trusted = is_trusted};
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    if (sent)
        fields_add_checked(
            &x->request.fields, FIELD_X_REQUEST_ID, SLICE("x-request-id"), slice_of_text(sent));
    assert_ok(request_id_assign(x));
    assert_slices(fields_value(&x->request.fields, FIELD_X_REQUEST_ID), x->request_id);
}

static bool is_uuid7(struct slice id)
{
    return id.size == 36 && id.data[8] == '-' && id.data[14] == '7';
}

static void a_new_id_is_a_uuid_and_the_only_one(void **state)
{
    struct exchange a, b;
    (void)state;
    assign(&a, NULL, false);
    assign(&b, "theirs", false);
    assert_true(is_uuid7(a.request_id) && is_uuid7(b.request_id));
    assert_false(slice_equal(a.request_id, b.request_id));
    assert_null(fields_next(
        &b.request.fields, FIELD_X_REQUEST_ID, fields_find(&b.request.fields, FIELD_X_REQUEST_ID)));
    arena_release(&a.arena);
    arena_release(&b.arena);
}

static void a_sane_id_of_a_trusted_peer_is_kept(void **state)
{
    struct exchange x;
    char longest[130];
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[128] = '\0';
    assign(&x, longest, true);
    assert_int_equal(x.request_id.size, 128);
    arena_release(&x.arena);
    longest[128] = 'x';
    longest[129] = '\0';
    const char *const bad[] = {longest, "", "a b", "a\tb", "\xc3\xa9", "a\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assign(&x, bad[i], true);
        assert_true(is_uuid7(x.request_id));
        arena_release(&x.arena);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_id_is_a_uuid_and_the_only_one),
        TEST(a_sane_id_of_a_trusted_peer_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
