/* Errands: fibers that do something again and again for an owner that may go away at any time (a
 * name to resolve, an endpoint to check).
 *
 * They run on the control loop's root scope. When the owner goes, it stops the errand: the fiber is
 * cancelled and unwinds on its own, later, with memory of its own; after a wait that returned
 * CANCELLED it must not touch the owner any more. */
#pragma once

#include "run/loop.h"

struct errand;

/* Starts `run(owner)`; it ends when that returns. `slot` is where the owner keeps the errand: it
 * becomes NULL at the end. Without memory, or when the loop is being stopped, it stays NULL:
 * nothing is done then. Only on the loop's thread. */
void errand_start(struct loop *loop, void (*run)(void *owner), void *owner, struct errand **slot);

/* The owner goes, or wants no more. Sets the slot to NULL. NULL is fine. */
void errand_stop(struct errand **slot);

/* For the errand itself, after each wait: true when it was stopped, and so its owner may be gone. A
 * wait that had ended already when the stop came still says OK. */
bool errand_is_stopped(void);
