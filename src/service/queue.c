#include "service/queue.h"

#include "run/loop.h"
#include "service/plane.h"

#include <stdlib.h>

#define RELAXED    memory_order_relaxed
#define LOOK_AGAIN (20 * MILLISECOND) /* by the first in a line */
#define PATIENCE   5  /* looks at whose turn it is before it is only one's own line */
#define LOOKS      16 /* at who cannot go on, before those behind have to wait too */
#define RANK_AT    60
#define NOBODY     UINT64_MAX

/* --- a line */

static struct queue_waiter *first_of(const struct queue_line *line)
{
    for (unsigned rank = 0; rank < QUEUE_RANKS; rank++)
        if (!list_is_empty(&line->waiters[rank]))
            return list_entry(line->waiters[rank].next, struct queue_waiter, node);
    return NULL;
}

static uint64_t key_of(const struct queue_waiter *waiter)
{
    return (uint64_t)waiter->rank << RANK_AT | (uint64_t)waiter->since >> (64 - RANK_AT);
}

static void show_first(struct queue_line *line)
{
    const struct queue_waiter *first = first_of(line);
    atomic_store_explicit(&line->first, first ? key_of(first) : NOBODY, RELAXED);
}

static void join(struct queue *queue, struct queue_line *line, struct queue_waiter *waiter)
{
    waiter->fiber = fiber_current();
    waiter->since = loop_now();
    waiter->is_done = false;
    list_push_back(&line->waiters[waiter->rank], &waiter->node);
    atomic_fetch_add_explicit(&queue->waiting, 1, RELAXED);
    show_first(line);
}

/* Who is first now looks for himself from now on. */
static void leave(struct queue *queue, struct queue_line *line, struct queue_waiter *waiter)
{
    list_remove(&waiter->node);
    atomic_fetch_sub_explicit(&queue->waiting, 1, RELAXED);
    show_first(line);
    struct queue_waiter *first = first_of(line);
    if (first)
        fiber_wake(first->fiber);
}

static void end_wait(
    struct queue *queue, struct queue_line *line, struct queue_waiter *waiter, enum status outcome)
{
    leave(queue, line, waiter);
    waiter->is_done = true;
    waiter->outcome = outcome;
    fiber_wake(waiter->fiber);
}

/* The newest of those in the line who matter least, and less than `rank`. */
static bool displace(struct queue *queue, struct queue_line *line, unsigned rank)
{
    for (unsigned least = QUEUE_RANKS - 1; least > rank; least--) {
        if (list_is_empty(&line->waiters[least]))
            continue;
        struct list *newest = line->waiters[least].previous;
        end_wait(queue, line, list_entry(newest, struct queue_waiter, node), QUEUE_FULL);
        return true;
    }
    return false;
}

static void serve_line(struct queue *queue, struct queue_line *line)
{
    unsigned looks = 0;
    for (unsigned rank = 0; rank < QUEUE_RANKS; rank++)
        list_each (node, &line->waiters[rank]) {
            struct queue_waiter *waiter = list_entry(node, struct queue_waiter, node);
            enum status e = waiter->take(waiter->argument);
            if (e != SERVICE_BUSY)
                end_wait(queue, line, waiter, e);
            else if (++looks == LOOKS)
                return;
        }
}

/* --- the queue */

static void deliver(struct message *message)
{
    struct queue_line *line = list_entry(message, struct queue_line, message);
    struct queue *queue = line->queue;
    atomic_store(&line->is_posted, false);
    serve_line(queue, line);
}

enum status queue_init(struct queue *queue, struct service_plane *plane, unsigned workers)
{
    size_t size = (workers + 1) * sizeof *queue->lines;
    struct queue_line *lines = aligned_alloc(_Alignof(struct queue_line), size);
    if (!lines)
        return NO_MEMORY;
    memset(lines, 0, size);
    for (unsigned i = 0; i <= workers; i++) {
        lines[i] = (struct queue_line){.queue = queue, .plane = plane, .worker = i};
        lines[i].first = NOBODY;
        for (unsigned rank = 0; rank < QUEUE_RANKS; rank++)
            list_init(&lines[i].waiters[rank]);
    }
    queue->workers = workers;
    queue->lines = lines;
    return OK;
}

void queue_release(struct queue *queue)
{
    free(queue->lines);
    queue->lines = NULL;
}

static void call_line(struct queue_line *line)
{
    if (atomic_exchange(&line->is_posted, true))
        return;
    line->message.deliver = deliver;
    if (!plane_post(line->plane, line->worker, &line->message))
        atomic_store(&line->is_posted, false);
}

void queue_serve(struct queue *queue, unsigned worker)
{
    uint64_t best = atomic_load_explicit(&queue->lines[worker].first, RELAXED);
    unsigned whose = worker;
    for (unsigned i = 0; i < queue->workers; i++) {
        uint64_t first = atomic_load_explicit(&queue->lines[i].first, RELAXED);
        if (first >= best)
            continue;
        best = first;
        whose = i;
    }
    if (whose != worker)
        call_line(&queue->lines[whose]);
    else if (best != NOBODY)
        serve_line(queue, &queue->lines[worker]);
}

static enum status wait_in_line(
    struct queue *queue, struct queue_line *line, struct queue_waiter *waiter, instant deadline)
{
    for (unsigned looks = 1; !waiter->is_done; looks++) {
        bool is_first = first_of(line) == waiter;
        instant look = is_first ? loop_now() + LOOK_AGAIN : NEVER;
        enum status e = fiber_wait(clock_sooner(deadline, look));
        if (waiter->is_done)
            break;
        if (e == CANCELLED || loop_now() >= deadline) {
            leave(queue, line, waiter);
            return e == CANCELLED ? e : QUEUE_TIMEOUT;
        }
        if (first_of(line) != waiter)
            continue;
        if (looks % PATIENCE) /* it may be the turn of another worker's first */
            queue_serve(queue, line->worker);
        else /* whom nothing that is free may fit */
            serve_line(queue, line);
    }
    return waiter->outcome;
}

enum status queue_wait(struct queue *queue, unsigned worker, int64_t size, instant deadline,
    struct queue_waiter *waiter)
{
    struct queue_line *line = &queue->lines[worker];
    bool is_full = atomic_load_explicit(&queue->waiting, RELAXED) >= size;
    if (is_full && !displace(queue, line, waiter->rank))
        return QUEUE_FULL;
    join(queue, line, waiter);
    return wait_in_line(queue, line, waiter, deadline);
}
