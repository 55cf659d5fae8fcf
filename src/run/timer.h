/* Timers of a loop, intrusive: a wheel with O(1) set and cancel and 1 ms grain. They fire in the
 * loop, outside any fiber, never early, and late by at most the grain plus whatever runs. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"

struct loop;

struct timer {
    struct list node;                  /* in a slot of the wheel */
    instant when;                      /* NEVER: not set */
    instant armed;                     /* what `when` was as it was put into that slot */
    void (*fire)(struct timer *timer); /* may set the timer anew; must not wait */
};

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));

/* Sets, or sets anew. NEVER cancels. Of the calling thread's loop. */
void timer_set(struct timer *timer, instant when);

/* Harmless when it is not set. */
void timer_cancel(struct timer *timer);

/* Not set any more, but still in the wheel: cheaper than timer_cancel for a timer that is soon set
 * again, as one that guards each of many waits. Call timer_cancel before its memory goes. */
static inline void timer_rest(struct timer *timer)
{
    timer->when = NEVER;
}

bool timer_is_set(const struct timer *timer);
