#include "run/fiber.h"

#include "base/must.h"
#include "run/loop_core.h"

#define SWITCHES_A_ROUND 512 /* then the loop looks at the descriptors again */
#define ROUND_LONG       MILLISECOND
#define SHARE            16 /* reads and writes in a row that did not wait: at most 4 MiB */

struct fiber *fiber_current(void)
{
    return loop_here ? loop_here->running : NULL;
}

struct fiber *fiber_that_waits(void)
{
    must(loop_here && loop_here->running);
    return loop_here->running;
}

static void make_ready(struct loop *loop, struct fiber *fiber)
{
    fiber->state = FIBER_READY;
    fiber->next = NULL;
    if (loop->ready_first)
        loop->ready_last->next = fiber;
    else
        loop->ready_first = fiber;
    loop->ready_last = fiber;
}

static struct fiber *next_ready(struct loop *loop)
{
    struct fiber *fiber = loop->ready_first;
    if (!fiber || loop->budget == 0)
        return NULL;
    loop->budget--;
    loop->ready_first = fiber->next;
    return fiber;
}

/* From the running fiber, or the loop, to the next one that is ready; else to the loop. */
CHECKED_NEVER_LEFT static void switch_on(struct loop *loop, struct fiber *self, bool for_good)
{
    struct fiber *next = next_ready(loop);
    struct context *from = self ? &self->context : &loop->main;
    struct checked *from_checked = self ? &self->checked : &loop->main_checked;
    loop->running = next;
    loop->share = SHARE;
    if (next)
        next->state = FIBER_RUNNING;
    checked_leave(from_checked, next ? &next->checked : &loop->main_checked, for_good);
    context_switch(from, next ? &next->context : &loop->main);
    checked_arrive(from_checked);
}

void fiber_run_ready(struct loop *loop)
{
    loop->budget = SWITCHES_A_ROUND;
    if (loop->ready_first)
        switch_on(loop, NULL, false);
}

CHECKED_NEVER_LEFT static _Noreturn void live(void *argument)
{
    struct fiber *self = argument;
    struct loop *loop = loop_here;
    checked_arrive(&self->checked);
    self->run(self->argument);
    scope_forget(self->scope, self);
    tally_add(&loop->tally.fibers_running, -1);
    self->timer.when = NEVER;
    stacks_give(&loop->stacks, self);
    switch_on(loop, self, true);
    __builtin_unreachable();
}

static void time_is_up(struct timer *timer)
{
    fiber_resume(list_entry(timer, struct fiber, timer), TIMEOUT);
}

struct fiber *fiber_start(struct scope *scope, fiber_function *run, void *argument)
{
    struct loop *loop = loop_here;
    struct fiber *fiber = stacks_take(&loop->stacks);
    if (!fiber)
        return NULL;
    fiber->cancelled = false;
    fiber->shields = 0;
    fiber->scope = scope;
    fiber->run = run;
    fiber->argument = argument;
    fiber->timer.fire = time_is_up;
    void *bottom = stack_bottom(&loop->stacks, fiber);
    checked_begin(&fiber->checked, bottom, fiber);
    context_init(&fiber->context, bottom, fiber, live, fiber);
    tally_add(&loop->tally.fibers_started, 1);
    tally_add(&loop->tally.fibers_running, 1);
    make_ready(loop, fiber);
    return fiber;
}

enum status fiber_wait(instant deadline)
{
    struct fiber *self = fiber_that_waits();
    struct loop *loop = loop_here;
    if (self->cancelled && self->shields == 0)
        return CANCELLED;
    if (deadline != NEVER) {
        if (deadline <= loop->now)
            return TIMEOUT;
        timer_set(&self->timer, deadline);
    }
    self->state = FIBER_PARKED;
    switch_on(loop, self, false);
    timer_rest(&self->timer);
    return self->result;
}

bool fiber_resume(struct fiber *fiber, enum status result)
{
    if (fiber->state != FIBER_PARKED)
        return false;
    fiber->result = result;
    make_ready(loop_here, fiber);
    return true;
}

void fiber_wake(struct fiber *fiber)
{
    fiber_resume(fiber, OK);
}

void fiber_expire(struct fiber *fiber)
{
    fiber_resume(fiber, TIMEOUT);
}

void fiber_cancel(struct fiber *fiber)
{
    fiber->cancelled = true;
    if (fiber->shields == 0)
        fiber_resume(fiber, CANCELLED);
}

bool fiber_is_cancelled(const struct fiber *fiber)
{
    return fiber->cancelled;
}

void fiber_shield(void)
{
    fiber_that_waits()->shields++;
}

void fiber_unshield(void)
{
    struct fiber *self = fiber_that_waits();
    must(self->shields > 0);
    self->shields--;
}

enum status fiber_sleep_until(instant when)
{
    const struct fiber *self = fiber_that_waits();
    enum status e;
    do {
        e = fiber_wait(when);
    } while (e == OK);
    if (e == TIMEOUT) /* unless it was cancelled in the very round in which the time came */
        e = self->cancelled && self->shields == 0 ? CANCELLED : OK;
    return e;
}

/* By way of the next round, so that descriptors and timers get their turn too. */
void fiber_yield(void)
{
    struct fiber *self = fiber_that_waits();
    struct loop *loop = loop_here;
    self->state = FIBER_READY;
    self->next = NULL;
    if (loop->late_first)
        loop->late_last->next = self;
    else
        loop->late_first = self;
    loop->late_last = self;
    switch_on(loop, self, false);
}

void fiber_give_way(void)
{
    if (clock_now() - loop_here->now >= ROUND_LONG)
        fiber_yield();
}

bool fiber_has_had_its_share(void)
{
    struct loop *loop = loop_here;
    if (loop->share > 0) {
        loop->share--;
        return false;
    }
    return true;
}
