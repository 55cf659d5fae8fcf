#include "run/wheel.h"

#include <stdlib.h>

#include "base/random.h"
#include "support/unit.h"

#define COUNT 2000

struct alarm {
    struct timer timer;
    instant due;
    int fired;
};

static instant now;
static int fired;

static void ring(struct timer *timer)
{
    struct alarm *alarm = list_entry(timer, struct alarm, timer);
    assert_true(alarm->due <= now);
    alarm->fired++;
    fired++;
}

static void set(struct wheel *wheel, struct alarm *alarm, instant due)
{
    alarm->timer.when = alarm->due = due;
    wheel_set(wheel, now, &alarm->timer);
}

/* From a nanosecond to centuries away, with a clock that jumps a little past each turn. */
static void the_wheel_holds_for_centuries(void **state)
{
    (void)state;
    struct random random;
    struct wheel *wheel = malloc(sizeof *wheel);
    struct alarm *alarms = calloc(COUNT, sizeof *alarms);
    assert_non_null(wheel);
    assert_non_null(alarms);
    random_init(&random);
    now = 12345678901;
    fired = 0;
    wheel_init(wheel, now);
    for (int i = 0; i < COUNT; i++) {
        timer_init(&alarms[i].timer, ring);
        uint64_t far = random_next(&random) >> (2 + random_below(&random, 50));
        set(wheel, &alarms[i], now + (int64_t)far);
    }
    while (wheel->next != NEVER) {
        assert_true(wheel->next >= now);
        now = wheel->next + (int64_t)random_below(&random, 3) * MILLISECOND;
        wheel_advance(wheel, now);
        assert_true(wheel->next > now);
        if (now > 100 * 365 * DAY)
            break;
        for (int i = 0; i < COUNT; i++)
            if (alarms[i].due <= now - MILLISECOND)
                assert_int_equal(alarms[i].fired, 1);
    }
    assert_in_range(fired, COUNT * 9 / 10, COUNT);
    free(alarms);
    free(wheel);
}

/* As a fiber's waits do it: the timer is not moved, and still fires for the last deadline. */
static void arming_is_lazy(void **state)
{
    (void)state;
    struct wheel *wheel = malloc(sizeof *wheel);
    struct alarm alarm = {.fired = 0};
    assert_non_null(wheel);
    now = 0;
    fired = 0;
    wheel_init(wheel, now);
    timer_init(&alarm.timer, ring);
    set(wheel, &alarm, 10 * MILLISECOND);
    struct list *slot = alarm.timer.node.next;
    for (int i = 0; i < 100; i++) {
        timer_rest(&alarm.timer);
        set(wheel, &alarm, (20 + i) * MILLISECOND);
        assert_ptr_equal(alarm.timer.node.next, slot);
    }
    now = 10 * MILLISECOND;
    wheel_advance(wheel, now);
    assert_int_equal(fired, 0);
    assert_true(wheel->next <= 119 * MILLISECOND);
    while (fired == 0) {
        now = wheel->next;
        wheel_advance(wheel, now);
    }
    assert_true(now == 119 * MILLISECOND);
    assert_true(wheel->next == NEVER);
    set(wheel, &alarm, now + 500 * MILLISECOND);
    set(wheel, &alarm, now + 3 * MILLISECOND);
    assert_true(wheel->next == now + 3 * MILLISECOND);
    now += 500 * MILLISECOND;
    wheel_advance(wheel, now);
    assert_int_equal(fired, 2);
    set(wheel, &alarm, now - 100 * MILLISECOND); /* already past: at the next tick */
    assert_true(wheel->next == now + MILLISECOND);
    timer_rest(&alarm.timer);
    now = NEVER / 2;
    wheel_advance(wheel, now);
    assert_int_equal(fired, 2);
    assert_true(list_is_empty(&alarm.timer.node));
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wheel_holds_for_centuries),
        cmocka_unit_test(arming_is_lazy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
