#include "run/timer.h"

#include <stdlib.h>

#include "base/random.h"
#include "run/loop.h"
#include "support/unit.h"

struct alarm {
    struct timer timer;
    instant due;
    int fired;
};

static void ring(struct timer *timer)
{
    struct alarm *alarm = list_entry(timer, struct alarm, timer);
    assert_true(loop_now() >= alarm->due);
    alarm->fired++;
}

static void set_many(void *argument)
{
    (void)argument;
    enum { COUNT = 500 };
    struct alarm *alarms = calloc(COUNT, sizeof *alarms);
    assert_non_null(alarms);
    for (int i = 0; i < COUNT; i++) {
        timer_init(&alarms[i].timer, ring);
        assert_false(timer_is_set(&alarms[i].timer));
        alarms[i].due = loop_now() + (int64_t)random_below(loop_random(), 150) * MILLISECOND +
                        (int64_t)random_below(loop_random(), 1000000);
        timer_set(&alarms[i].timer, alarms[i].due);
        assert_true(timer_is_set(&alarms[i].timer));
    }
    for (int i = 0; i < COUNT; i += 5)
        timer_cancel(&alarms[i].timer);
    assert_true(list_is_empty(&alarms[0].timer.node));
    fiber_sleep_until(loop_now() + 160 * MILLISECOND);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(alarms[i].fired, i % 5 != 0);
        assert_false(timer_is_set(&alarms[i].timer));
        timer_cancel(&alarms[i].timer);
    }
    free(alarms);
}

static void timers_fire_once_and_never_early(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, set_many, NULL));
}

static void move(void *argument)
{
    (void)argument;
    struct alarm later = {.due = loop_now() + 30 * MILLISECOND};
    struct alarm sooner = {.due = loop_now() + 5 * MILLISECOND};
    struct alarm rests = {.due = NEVER};
    timer_init(&later.timer, ring);
    timer_init(&sooner.timer, ring);
    timer_init(&rests.timer, ring);
    timer_set(&later.timer, loop_now() + 5 * MILLISECOND);
    timer_set(&later.timer, later.due);
    timer_set(&sooner.timer, loop_now() + HOUR);
    timer_set(&sooner.timer, sooner.due);
    timer_set(&rests.timer, loop_now() + 5 * MILLISECOND);
    timer_rest(&rests.timer);
    assert_false(timer_is_set(&rests.timer));
    fiber_sleep_until(loop_now() + 15 * MILLISECOND);
    assert_int_equal(sooner.fired, 1);
    if (loop_now() < later.due)
        assert_int_equal(later.fired, 0);
    fiber_sleep_until(later.due + MILLISECOND);
    assert_int_equal(later.fired, 1);
    assert_int_equal(rests.fired, 0);
    timer_set(&rests.timer, NEVER);
    assert_false(timer_is_set(&rests.timer));
}

static void timers_can_be_set_anew(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, move, NULL));
}

static void ring_again(struct timer *timer)
{
    struct alarm *alarm = list_entry(timer, struct alarm, timer);
    if (++alarm->fired < 5)
        timer_set(timer, loop_now() + 2 * MILLISECOND);
}

static void repeat(void *argument)
{
    (void)argument;
    struct alarm alarm = {.fired = 0};
    timer_init(&alarm.timer, ring_again);
    timer_set(&alarm.timer, loop_now() - 1);
    while (alarm.fired < 5)
        fiber_sleep_until(loop_now() + MILLISECOND);
}

static void a_timer_may_set_itself_anew(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, repeat, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_and_never_early),
        cmocka_unit_test(timers_can_be_set_anew),
        cmocka_unit_test(a_timer_may_set_itself_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
