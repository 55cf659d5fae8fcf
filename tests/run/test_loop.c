#include "run/loop.h"

#include "run/mailbox.h"
#include "run/timer.h"
#include "support/unit.h"

static struct timer stopper;

static void stop(struct timer *timer)
{
    (void)timer;
    loop_stop(loop_current());
}

static void sleep_until_cancelled(void *argument)
{
    *(enum status *)argument = fiber_sleep_until(NEVER - 1);
    /* Cleaning up may take its time: the loop waits for it. */
    fiber_shield();
    fiber_sleep_until(loop_now() + 3 * MILLISECOND);
    fiber_unshield();
    *(enum status *)argument = *(enum status *)argument == CANCELLED ? END : INVALID;
}

static void a_stopped_loop_ends_its_fibers(void **state)
{
    (void)state;
    struct loop *loop;
    enum status seen = OK;
    assert_null(loop_current());
    assert_null(fiber_current());
    assert_ok(loop_new(NULL, &loop));
    assert_ptr_equal(loop_current(), loop);
    assert_ok(scope_start(loop_scope(loop), sleep_until_cancelled, &seen));
    timer_init(&stopper, stop);
    timer_set(&stopper, loop_now() + 5 * MILLISECOND);
    loop_run(loop);
    assert_status(seen, END);
    assert_status(scope_start(loop_scope(loop), sleep_until_cancelled, &seen), CANCELLED);
    struct loop_counters counters;
    loop_read_counters(loop, &counters);
    assert_int_equal(counters.fibers_started, 1);
    assert_int_equal(counters.fibers_running, 0);
    assert_int_equal(counters.stacks, 1);
    assert_true(counters.rounds >= 2);
    assert_true(counters.busy_nanoseconds > 0);
    loop_free(loop);
    assert_null(loop_current());
}

static int delivered;

static void deliver(struct message *message)
{
    (void)message;
    delivered++;
}

static void messages_are_delivered_before_the_loop_ends(void **state)
{
    (void)state;
    static struct message messages[600];
    struct loop *loop;
    delivered = 0;
    assert_ok(loop_new(NULL, &loop));
    for (size_t i = 0; i < 600; i++) {
        messages[i].deliver = deliver;
        mailbox_post(loop, &messages[i]);
    }
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(delivered, 600);
    loop_free(loop);
}

static void spin(void *argument)
{
    instant end = clock_now() + 2 * MILLISECOND;
    while (clock_now() < end)
        ;
    *(instant *)argument = loop_now();
}

static void time_stands_still_in_a_round(void **state)
{
    (void)state;
    instant seen = 0;
    assert_ok(loop_run_main(NULL, spin, &seen));
    assert_true(clock_now() - seen >= 2 * MILLISECOND);
}

static void hold(void *argument)
{
    (void)argument;
    fiber_yield();
}

static void start_many(void *argument)
{
    (void)argument;
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < 600; i++)
        assert_ok(scope_start(&scope, hold, NULL));
    scope_end(&scope);
    struct loop_counters counters;
    for (int i = 0; i < 8; i++) {
        fiber_sleep_until(loop_now() + 1005 * MILLISECOND);
        loop_read_counters(loop_current(), &counters);
        if (counters.stacks < 200)
            return;
    }
    fail_msg("%d stacks are still kept", (int)counters.stacks);
}

static void stacks_that_nobody_needs_go_back(void **state)
{
    (void)state;
    assert_ok(loop_run_main(&(struct loop_options){.stack_size = 1}, start_many, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_loop_ends_its_fibers),
        cmocka_unit_test(messages_are_delivered_before_the_loop_ends),
        cmocka_unit_test(time_stands_still_in_a_round),
        cmocka_unit_test(stacks_that_nobody_needs_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
