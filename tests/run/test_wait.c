#include "run/wait.h"

#include "run/loop.h"
#include "support/unit.h"

struct waiting {
    struct wait_queue queue;
    int woken;
};

static void wait_once(void *argument)
{
    struct waiting *w = argument;
    assert_ok(wait_queue_wait(&w->queue, NEVER));
    w->woken++;
}

static void wait_briefly(void *argument)
{
    struct waiting *w = argument;
    assert_status(wait_queue_wait(&w->queue, loop_now() + MILLISECOND), TIMEOUT);
}

static void wake_them(void *argument)
{
    (void)argument;
    struct waiting w = {.woken = 0};
    struct scope scope;
    scope_init(&scope);
    wait_queue_init(&w.queue);
    assert_false(wait_queue_wake_one(&w.queue));
    assert_ok(scope_start(&scope, wait_briefly, &w));
    for (int i = 0; i < 3; i++)
        assert_ok(scope_start(&scope, wait_once, &w));
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_true(wait_queue_wake_one(&w.queue));
    fiber_yield();
    assert_int_equal(w.woken, 1);
    wait_queue_wake_all(&w.queue);
    assert_ok(scope_wait(&scope, NEVER));
    assert_int_equal(w.woken, 3);
    assert_false(wait_queue_wake_one(&w.queue));
}

static void a_queue_wakes_one_or_all(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, wake_them, NULL));
}

static void wait_and_be_cancelled(void *argument)
{
    struct waiting *w = argument;
    assert_status(wait_queue_wait(&w->queue, NEVER), CANCELLED);
}

static void stray_wake(void *argument)
{
    fiber_wake(argument);
}

static void lose_nothing(void *argument)
{
    (void)argument;
    struct waiting w = {.woken = 0};
    struct scope doomed, scope;
    scope_init(&doomed);
    scope_init(&scope);
    wait_queue_init(&w.queue);
    assert_ok(scope_start(&doomed, wait_and_be_cancelled, &w));
    assert_ok(scope_start(&scope, wait_once, &w));
    fiber_yield();
    scope_cancel(&doomed);
    /* The first in the queue is as good as gone: the second must get the wake-up. */
    assert_true(wait_queue_wake_one(&w.queue));
    assert_ok(scope_wait(&scope, loop_now() + SECOND));
    assert_int_equal(w.woken, 1);
    scope_end(&doomed);
    /* Who is woken by something else goes on waiting for the queue. */
    assert_ok(scope_start(&scope, stray_wake, fiber_current()));
    assert_status(wait_queue_wait(&w.queue, loop_now() + 2 * MILLISECOND), TIMEOUT);
    scope_end(&scope);
}

static void a_wake_up_is_not_lost(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, lose_nothing, NULL));
}

static void send_ten(void *argument)
{
    static const char letters[] = "0123456789";
    for (size_t i = 0; i < 10; i++)
        assert_ok(channel_send(argument, (void *)&letters[i], NEVER));
    channel_close(argument);
    assert_status(channel_send(argument, NULL, NEVER), CLOSED);
}

static void receive_ten(void *argument)
{
    (void)argument;
    struct channel *channel = channel_new(3);
    struct scope scope;
    void *item;
    assert_non_null(channel);
    scope_init(&scope);
    assert_status(channel_receive(channel, loop_now() + MILLISECOND, &item), TIMEOUT);
    assert_ok(scope_start(&scope, send_ten, channel));
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    for (int i = 0; i < 10; i++) {
        assert_ok(channel_receive(channel, NEVER, &item));
        assert_int_equal(*(char *)item, '0' + i);
    }
    assert_status(channel_receive(channel, NEVER, &item), END);
    scope_end(&scope);
    channel_free(channel);
    channel_free(NULL);
}

static void a_channel_keeps_order_and_bounds(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, receive_ten, NULL));
}

static void fill(void *argument)
{
    (void)argument;
    struct channel *channel = channel_new(2);
    assert_non_null(channel);
    assert_ok(channel_send(channel, NULL, NEVER));
    assert_ok(channel_send(channel, NULL, NEVER));
    assert_status(channel_send(channel, NULL, loop_now() + MILLISECOND), TIMEOUT);
    channel_free(channel);
}

static void a_full_channel_makes_senders_wait(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, fill, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_wakes_one_or_all),
        cmocka_unit_test(a_wake_up_is_not_lost),
        cmocka_unit_test(a_channel_keeps_order_and_bounds),
        cmocka_unit_test(a_full_channel_makes_senders_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
