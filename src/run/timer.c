#include "run/timer.h"

#include "run/loop_core.h"

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    list_init(&timer->node);
    timer->when = timer->armed = NEVER;
    timer->fire = fire;
}

void timer_set(struct timer *timer, instant when)
{
    if (when == NEVER) {
        timer_cancel(timer);
        return;
    }
    timer->when = when;
    wheel_set(&loop_here->wheel, loop_here->now, timer);
}

void timer_cancel(struct timer *timer)
{
    list_remove(&timer->node);
    timer->when = NEVER;
}

bool timer_is_set(const struct timer *timer)
{
    return timer->when != NEVER;
}
