#include "run/scope.h"

#include "run/loop.h"
#include "support/unit.h"

static void count(void *argument)
{
    fiber_yield();
    *(int *)argument += 1;
}

static void wait_for_children(void *argument)
{
    (void)argument;
    int done = 0;
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < 1000; i++)
        assert_ok(scope_start(&scope, count, &done));
    assert_int_equal(done, 0);
    assert_int_equal(scope.running, 1000);
    assert_ok(scope_wait(&scope, NEVER));
    assert_int_equal(done, 1000);
    assert_ok(scope_wait(&scope, 0));
    scope_end(&scope);
    assert_status(scope_start(&scope, count, &done), CANCELLED);
    scope_init(&scope);
    assert_ok(scope_start(&scope, count, &done));
    scope_end(&scope);
    assert_int_equal(done, 1001);
}

static void a_scope_waits_for_its_fibers(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, wait_for_children, NULL));
}

static void sleep_an_hour(void *argument)
{
    (void)argument;
    assert_status(fiber_sleep_until(loop_now() + HOUR), CANCELLED);
}

static void own_a_scope(void *argument)
{
    struct scope inner;
    scope_init(&inner);
    scope_start(&inner, sleep_an_hour, NULL);
    assert_status(scope_wait(&inner, NEVER), CANCELLED);
    scope_end(&inner); /* waits though this fiber is cancelled */
    assert_int_equal(inner.running, 0);
    *(int *)argument = 1;
}

static void cancel_a_tree(void *argument)
{
    (void)argument;
    int inner_ended = 0;
    struct scope scope;
    scope_init(&scope);
    scope_start(&scope, own_a_scope, &inner_ended);
    assert_status(scope_wait(&scope, loop_now() + 5 * MILLISECOND), TIMEOUT);
    scope_end(&scope);
    assert_int_equal(inner_ended, 1);
}

static void cancellation_goes_down_the_tree(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, cancel_a_tree, NULL));
}

static void wait_too(void *argument)
{
    assert_ok(scope_wait(argument, NEVER));
}

static void several_wait(void *argument)
{
    (void)argument;
    int done = 0;
    struct scope scope, waiters;
    scope_init(&scope);
    scope_init(&waiters);
    scope_start(&waiters, wait_too, &scope);
    scope_start(&waiters, wait_too, &scope);
    scope_start(&scope, count, &done);
    assert_ok(scope_wait(&scope, NEVER));
    assert_ok(scope_wait(&waiters, NEVER));
}

static void several_fibers_can_wait_for_one_scope(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, several_wait, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scope_waits_for_its_fibers),
        cmocka_unit_test(cancellation_goes_down_the_tree),
        cmocka_unit_test(several_fibers_can_wait_for_one_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
