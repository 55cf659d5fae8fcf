/* The queue in front of a busy service: who waits for one of its endpoints, or for room among its
 * requests. Whoever ends a request looks whether somebody waits, and lets the one go on who matters
 * most, and among those who matter as much, who came first.
 *
 * A fiber belongs to its worker, so each worker has a line of its own; what others see of it is
 * whose turn it would be, in one atomic word. The worker that has room to give serves its own line,
 * or posts a message to the one whose first is ahead. Nothing is fenced for it: the first in a line
 * also looks for himself from time to time.
 *
 * One whom no free place fits (a session whose endpoint is busy) does not block those behind him,
 * as far as a look goes. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"
#include "run/mailbox.h"

#define QUEUE_RANKS 8 /* the first goes first */

struct fiber;
struct service_plane;

/* One worker's. */
struct queue_line {
    _Alignas(64) _Atomic uint64_t first; /* rank and time of its first; UINT64_MAX: nobody waits */
    struct list waiters[QUEUE_RANKS];    /* of the worker: the oldest first */
    struct queue *queue;
    struct service_plane *plane;
    unsigned worker;
    _Atomic bool is_posted; /* the message is on its way */
    struct message message; /* from another worker: there may be room */
};

struct queue {
    _Atomic uint32_t waiting; /* in all lines */
    unsigned workers;
    struct queue_line *lines; /* owned */
};

/* One who waits, in the memory of his fiber. */
struct queue_waiter {
    /* To be set: takes a place. SERVICE_BUSY: there is none, he waits on; anything else ends the
     * wait with it. May be called from another fiber of the worker; must not wait. */
    enum status (*take)(void *argument);
    void *argument;
    unsigned rank; /* below QUEUE_RANKS */

    struct list node; /* the queue's own, as what follows */
    struct fiber *fiber;
    instant since;
    bool is_done;
    enum status outcome;
};

/* NO_MEMORY. The lines live as long as the process: messages to them may be on their way. */
enum status queue_init(struct queue *queue, struct service_plane *plane, unsigned workers);
void queue_release(struct queue *queue);

/* Waits for a place, on a fiber of the worker: what `take` said, CANCELLED, QUEUE_TIMEOUT, or
 * QUEUE_FULL: `size` others wait, or somebody who matters more came when as many did. */
enum status queue_wait(struct queue *queue, unsigned worker, int64_t size, instant deadline,
    struct queue_waiter *waiter);

/* There may be room now: serves who is first. On a worker. */
void queue_serve(struct queue *queue, unsigned worker);
static inline void queue_stir(struct queue *queue, unsigned worker)
{
    if (atomic_load_explicit(&queue->waiting, memory_order_relaxed))
        queue_serve(queue, worker);
}
