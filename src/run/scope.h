/* Scopes: structured concurrency. A scope owns the fibers that were started in it, and whoever owns
 * the scope does not return before they have ended.
 *
 *     struct scope scope;
 *     scope_init(&scope);
 *     e = scope_start(&scope, upload, &job);
 *     ...
 *     scope_end(&scope);            // cancels what still runs and waits for it
 *
 * A scope belongs to one loop. */
#pragma once

#include "base/list.h"
#include "run/fiber.h"

struct scope {
    struct list fibers;  /* running in this scope */
    struct list waiters; /* fibers in scope_wait */
    unsigned running;
    bool cancelled;
};

void scope_init(struct scope *scope);

/* Starts `run(argument)` on a new fiber. It runs when the caller next waits (scope_start itself
 * does not switch). NO_MEMORY when there is no stack to be had, CANCELLED when the scope is being
 * ended. */
enum status scope_start(struct scope *scope, fiber_function *run, void *argument);

/* Waits until all fibers of the scope have ended. */
enum status scope_wait(struct scope *scope, instant deadline);

/* Cancels every fiber of the scope. */
void scope_cancel(struct scope *scope);

/* Cancels, then waits, whatever has happened to the caller. The scope can be initialised again. */
void scope_end(struct scope *scope);
