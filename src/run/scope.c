#include "run/scope.h"

#include "base/must.h"
#include "run/loop_core.h"

void scope_init(struct scope *scope)
{
    list_init(&scope->fibers);
    list_init(&scope->waiters);
    scope->running = 0;
    scope->cancelled = false;
}

enum status scope_start(struct scope *scope, fiber_function *run, void *argument)
{
    if (scope->cancelled)
        return CANCELLED;
    struct fiber *fiber = fiber_start(scope, run, argument);
    if (!fiber)
        return NO_MEMORY;
    list_push_front(&scope->fibers, &fiber->node);
    scope->running++;
    return OK;
}

void scope_forget(struct scope *scope, struct fiber *fiber)
{
    list_remove(&fiber->node);
    if (--scope->running > 0)
        return;
    list_each (node, &scope->waiters)
        fiber_resume(list_entry(node, struct waiter, node)->fiber, OK);
}

enum status scope_wait(struct scope *scope, instant deadline)
{
    if (scope->running == 0)
        return OK;
    struct waiter waiter = {.fiber = fiber_that_waits()};
    list_push_back(&scope->waiters, &waiter.node);
    enum status e = OK;
    while (e == OK && scope->running > 0)
        e = fiber_wait(deadline);
    list_remove(&waiter.node);
    return e;
}

void scope_cancel(struct scope *scope)
{
    scope->cancelled = true;
    list_each (node, &scope->fibers)
        fiber_cancel(list_entry(node, struct fiber, node));
}

void scope_end(struct scope *scope)
{
    scope_cancel(scope);
    if (scope->running == 0)
        return;
    fiber_shield();
    must(scope_wait(scope, NEVER) == OK);
    fiber_unshield();
}
