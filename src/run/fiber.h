/* Fibers: small stacks that a loop switches between, so that code which waits reads top to bottom.
 *
 * A fiber belongs to the loop (thread) on which it was started and never moves. It runs until it
 * waits; nothing preempts it, so data of one loop needs no locks. It is started in a *scope*
 * (run/scope.h), which owns it.
 *
 * Every call that can wait takes a deadline and may return TIMEOUT or CANCELLED. Cancellation is
 * sticky: once a fiber is cancelled, every later wait returns CANCELLED at once, except inside
 * fiber_shield/unshield, which clean-up code uses when it must wait.
 *
 * Stacks come from the loop's pool, most recently used first, with a guard page below: an overflow
 * is a clear crash that names the fiber. AddressSanitizer, ThreadSanitizer and valgrind are told of
 * each switch. */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/status.h"

struct fiber;

typedef void fiber_function(void *argument);

/* The running fiber; NULL when the loop itself runs (a callback of a timer, a mailbox, an idle
 * stream). */
struct fiber *fiber_current(void);

/* Parks the running fiber until fiber_wake, the deadline (TIMEOUT) or cancellation (CANCELLED). The
 * primitive that all other waits are made of; OK may be spurious only if the caller's own wakers
 * are. */
enum status fiber_wait(instant deadline);

/* Lets a parked fiber of this loop run again (its wait returns OK). No effect on one that is not
 * parked or already woken. */
void fiber_wake(struct fiber *fiber);

/* Ends the present wait of a parked fiber as if its deadline had come: TIMEOUT. No effect on one
 * that is not parked or already woken. */
void fiber_expire(struct fiber *fiber);

/* Asks a fiber of this loop to end: its present wait and all later ones return CANCELLED. */
void fiber_cancel(struct fiber *fiber);
bool fiber_is_cancelled(const struct fiber *fiber);

/* Between the two, the running fiber's waits ignore cancellation. They nest. */
void fiber_shield(void);
void fiber_unshield(void);

/* Sleeps; TIMEOUT is the good end and comes back as OK. CANCELLED also when the cancellation came
 * in the last moment, so that what the caller works for may be gone. */
enum status fiber_sleep_until(instant when);

/* Lets every other fiber that is ready run first. */
void fiber_yield(void);

/* The same, but only when the loop's round has lasted long: for who does much between waits. */
void fiber_give_way(void);

/* From now on, a fiber that overflows its stack says so on stderr before the process dies of
 * SIGSEGV as it would anyway. Once, by the program; before its threads make their loops or after.
 */
void fiber_report_overflow_init(void);
