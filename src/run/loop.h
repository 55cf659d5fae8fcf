/* The event loop: one a thread. It owns the thread's fibers, timers, buffers and watched
 * descriptors.
 *
 * A round: wait for events, deliver mailbox messages, fire timers, run every fiber that became
 * ready until it waits again, then what was put off to the round's end. `loop_now` is the time at
 * the round's beginning.
 *
 * Above this floor nothing knows that it is epoll: run/io.h is the seam behind which another kind
 * of loop fits. */
#pragma once

#include <stddef.h>

#include "base/random.h"
#include "run/fiber.h"
#include "run/scope.h"

struct loop;

struct loop_options {
    size_t stack_size;        /* bytes a fiber's stack has; 0: 64 KiB */
    size_t stacks_kept;       /* free stacks kept for reuse; 0: 1024 */
    size_t buffers_large_max; /* large buffers lent at a time before small ones are lent; 0: 64 */
    size_t splices_max;       /* pipes of run/splice.h lent at a time; 0: 64 */
};

/* Of the calling thread; NO_MEMORY or IO_ERROR. `options` NULL: defaults. The loop becomes the
 * thread's current one. */
enum status loop_new(const struct loop_options *options, struct loop **ret_loop);

/* Only after loop_run has returned and everything that lived on the loop is gone. */
void loop_free(struct loop *loop);

/* Runs until loop_stop was called and the root scope is empty. */
void loop_run(struct loop *loop);

/* Cancels the root scope and makes loop_run return. From the loop's own thread (else post a
 * message). */
void loop_stop(struct loop *loop);

/* The calling thread's loop. */
struct loop *loop_current(void);

/* The scope of fibers that nothing smaller owns (a connection's first fiber). */
struct scope *loop_scope(struct loop *loop);

/* Monotonic time at the beginning of this round: free of charge, up to a round old. */
instant loop_now(void);

/* The wall clock at about the same moment, nanoseconds since 1970. Read at most once a round. */
int64_t loop_wall(void);

/* The loop's generator of unimportant random numbers. */
struct random *loop_random(void);

/* Convenience for tests and commands: a loop of its own, `run(argument)` on its first fiber, until
 * everything ended. */
enum status loop_run_main(const struct loop_options *options, fiber_function *run, void *argument);

/* Counters for the metrics, readable from any thread (relaxed). */
struct loop_counters {
    uint64_t rounds;
    uint64_t fibers_started;
    uint64_t fibers_running;
    uint64_t stacks; /* that exist, in use or kept */
    uint64_t buffers_lent;
    uint64_t splices_lent;
    uint64_t accept_pauses; /* times that an acceptor paused because no descriptor was left */
    uint64_t kernel_tls_connections; /* handed over, see run/tls_kernel.h */
    uint64_t kernel_tls_bytes;       /* spliced to them */
    uint64_t busy_nanoseconds; /* processor time of the thread (what it does not spend waiting) */
};
void loop_read_counters(const struct loop *loop, struct loop_counters *ret_counters);
