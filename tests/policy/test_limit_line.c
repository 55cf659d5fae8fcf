#include "policy/limit_line.h"

#include <string.h>

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/unit.h"

/* Each waits in a line on a fiber of its own until he is first, and notes his name. */
struct rig {
    struct limit_lines *lines;
    struct scope scope;
    char order[16];
    size_t served;
};

struct guest {
    struct rig *rig;
    const char *key;
    char name;
    struct limit_waiter waiter;
    enum status joined;
};

static void stand(void *argument)
{
    struct guest *guest = argument;
    struct rig *rig = guest->rig;
    guest->joined = limit_lines_join(rig->lines, slice_of_text(guest->key), 3, &guest->waiter);
    if (guest->joined)
        return;
    enum status e = OK;
    while (!e && !limit_lines_is_first(rig->lines, &guest->waiter))
        e = fiber_wait(NEVER); /* only who leaves wakes him */
    if (!e)
        rig->order[rig->served++] = guest->name;
    fiber_yield();
    limit_lines_leave(rig->lines, &guest->waiter);
}

static void start(struct rig *rig, struct guest *guest, const char *key, char name)
{
    *guest = (struct guest){.rig = rig, .key = key, .name = name};
    assert_ok(scope_start(&rig->scope, stand, guest));
}

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){.served = 0};
    assert_ok(limit_lines_new(&rig->lines));
    scope_init(&rig->scope);
}

static void rig_release(struct rig *rig)
{
    scope_end(&rig->scope);
    assert_int_equal(limit_lines_count(rig->lines), 0);
    limit_lines_free(rig->lines);
}

static void who_came_first_goes_first(void **state)
{
    struct rig rig;
    struct guest guests[3];
    (void)state;
    rig_init(&rig);
    for (int i = 0; i < 3; i++)
        start(&rig, &guests[i], "ann", (char)('a' + i));
    assert_ok(scope_wait(&rig.scope, NEVER));
    assert_string_equal(rig.order, "abc");
    assert_int_equal(guests[2].waiter.ahead, 2);
    rig_release(&rig);
}

static void keys_have_lines_of_their_own(void **state)
{
    struct rig rig;
    struct limit_waiter ann, bob;
    (void)state;
    rig_init(&rig);
    assert_false(limit_lines_has(rig.lines, SLICE("ann")));
    assert_ok(limit_lines_join(rig.lines, SLICE("ann"), 9, &ann));
    assert_ok(limit_lines_join(rig.lines, SLICE_NONE, 9, &bob));
    assert_true(limit_lines_has(rig.lines, SLICE("ann")));
    assert_true(limit_lines_has(rig.lines, SLICE_NONE));
    assert_false(limit_lines_has(rig.lines, SLICE("bob")));
    assert_true(limit_lines_is_first(rig.lines, &ann));
    assert_true(limit_lines_is_first(rig.lines, &bob));
    limit_lines_leave(rig.lines, &bob);
    assert_false(limit_lines_has(rig.lines, SLICE_NONE));
    limit_lines_leave(rig.lines, &ann);
    rig_release(&rig);
}

static void not_more_wait_than_may(void **state)
{
    struct rig rig;
    struct guest guests[4];
    (void)state;
    rig_init(&rig);
    for (int i = 0; i < 4; i++)
        start(&rig, &guests[i], i % 2 ? "ann" : "bob", (char)('a' + i));
    assert_ok(scope_wait(&rig.scope, NEVER));
    for (int i = 0; i < 3; i++)
        assert_ok(guests[i].joined);
    assert_status(guests[3].joined, FULL);
    rig_release(&rig);
}

static void one_who_gives_up_lets_the_next_go(void **state)
{
    struct rig rig;
    struct guest second;
    struct limit_waiter first;
    (void)state;
    rig_init(&rig);
    assert_ok(limit_lines_join(rig.lines, SLICE("ann"), 9, &first));
    start(&rig, &second, "ann", 'b');
    fiber_yield();
    assert_int_equal(rig.served, 0);
    limit_lines_stir(rig.lines, SLICE("ann")); /* it is not his turn */
    fiber_yield();
    assert_int_equal(rig.served, 0);
    limit_lines_leave(rig.lines, &first);
    assert_ok(scope_wait(&rig.scope, NEVER));
    assert_string_equal(rig.order, "b");
    rig_release(&rig);
}

static void the_first_is_stirred(void **state)
{
    struct rig rig;
    struct guest guest;
    (void)state;
    rig_init(&rig);
    limit_lines_stir(rig.lines, SLICE("ann"));
    start(&rig, &guest, "ann", 'a');
    limit_lines_stir(rig.lines, SLICE("ann"));
    assert_ok(scope_wait(&rig.scope, NEVER));
    rig_release(&rig);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_first_goes_first),
        cmocka_unit_test(keys_have_lines_of_their_own),
        cmocka_unit_test(not_more_wait_than_may),
        cmocka_unit_test(one_who_gives_up_lets_the_next_go),
        cmocka_unit_test(the_first_is_stirred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
