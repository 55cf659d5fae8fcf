/* The inside of a fiber, for the run floor only. A fiber's struct lies at the top of its own stack:
 * one warm area, and no allocation beside the stack. It goes on existing while the stack waits in
 * the pool, and so does its timer in the wheel: starting, waiting and ending usually touch no
 * memory but this. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "run/checked.h"
#include "run/fiber.h"
#include "run/scope.h"
#include "run/switch.h"
#include "run/timer.h"

enum fiber_state {
    FIBER_FREE,    /* in the pool */
    FIBER_READY,   /* in the run queue */
    FIBER_RUNNING, /* now */
    FIBER_PARKED,  /* waits */
};

struct slab;

struct fiber {
    struct context context;
    struct fiber *next; /* in the run queue, or in the pool */
    uint8_t state;      /* enum fiber_state; tools/gdb/weir.py reads it */
    bool cancelled;
    uint16_t shields;   /* how many fiber_shield are open */
    enum status result; /* of the wait that ends */
    struct timer timer; /* .when: the wait's deadline */
    struct list node;   /* in scope->fibers */
    struct scope *scope;
    fiber_function *run;
    void *argument;
    struct slab *slab; /* where the stack comes from */
    struct checked checked;
};

/* Who waits in a list, on the waiter's own stack. */
struct waiter {
    struct list node;
    struct fiber *fiber;
};

/* Ends the wait of a parked fiber with `result`; false when it is not parked (any more). */
bool fiber_resume(struct fiber *fiber, enum status result);

/* A fiber that begins with `run(argument)`, ready to run; its scope is not told. NULL: no stack. */
struct fiber *fiber_start(struct scope *scope, fiber_function *run, void *argument);

/* In run/scope.c: the fiber has ended. */
void scope_forget(struct scope *scope, struct fiber *fiber);

/* The running fiber, which must exist: whoever calls this is about to wait. */
struct fiber *fiber_that_waits(void);

struct loop;

/* Runs fibers that are ready, until none is left or it is time to look at the descriptors again. */
void fiber_run_ready(struct loop *loop);

/* Counts an operation that did not wait; true when the running fiber has done so many in a row that
 * it should let others run (fiber_yield). */
bool fiber_has_had_its_share(void);
