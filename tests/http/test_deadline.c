/* Deadlines that travel: what is read, what is believed, what is said. */
#include "http/deadline.h"

#include "run/loop.h"
#include "support/unit.h"
#include "support/on_loop.h"

static void test_parse(void **state)
{
    (void)state;
    int64_t value = 7;
    assert_ok(deadline_parse(SLICE("1763719200250"), &value));
    assert_int_equal(value, 1763719200250);
    assert_ok(deadline_parse(SLICE("0"), &value));
    static const struct slice malformed[] = {{"", 0}, {"-1", 2}, {"1.5", 3}, {"12345678901234", 14},
        {"1763719200250 ", 14}, {"soon", 4}};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_status(deadline_parse(malformed[i], &value), INVALID);
    assert_int_equal(value, 0);
}

static void begin(struct exchange *x, bool is_trusted, int64_t left)
{
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    x->deadline = NEVER;
    x->is_peer_trusted = is_trusted;
    struct slice text =
        arena_format(&x->arena, "%lld", (long long)((loop_wall() + left) / MILLISECOND));
    assert_ok(fields_set_made(&x->request.fields, FIELD_X_REQUEST_DEADLINE, text));
    assert_ok(deadline_read(x));
    assert_false(fields_has(&x->request.fields, FIELD_X_REQUEST_DEADLINE));
}

static void test_read(void **state)
{
    (void)state;
    struct exchange x;
    begin(&x, true, 5 * SECOND);
    assert_in_range(x.deadline - loop_now(), 4 * SECOND, 5 * SECOND);
    assert_int_equal(x.deadline_reason, DEADLINE_PASSED);
    arena_release(&x.arena);
    begin(&x, true, -5 * SECOND);
    assert_true(x.deadline <= loop_now());
    arena_release(&x.arena);
    begin(&x, false, 5 * SECOND);
    assert_true(x.deadline == NEVER);
    arena_release(&x.arena);
}

static void test_forward(void **state)
{
    (void)state;
    struct exchange x;
    uint64_t value = 0;
    begin(&x, true, 5 * SECOND);
    assert_ok(deadline_forward(&x, NEVER));
    assert_false(fields_has(&x.request.fields, FIELD_X_REQUEST_DEADLINE));
    for (int i = 0; i < 2; i++)
        assert_ok(deadline_forward(&x, loop_now() + 2 * SECOND));
    assert_true(slice_to_u64(fields_value(&x.request.fields, FIELD_X_REQUEST_DEADLINE), &value));
    assert_in_range((int64_t)value * MILLISECOND - loop_wall(), SECOND, 2 * SECOND);
    x.tells_deadline = false;
    fields_remove_known(&x.request.fields, FIELD_X_REQUEST_DEADLINE);
    assert_ok(deadline_forward(&x, loop_now() + SECOND));
    assert_false(fields_has(&x.request.fields, FIELD_X_REQUEST_DEADLINE));
    arena_release(&x.arena);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_read), cmocka_unit_test(test_forward)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
