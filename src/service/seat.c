#include "service/seat.h"

#include "run/loop.h"
#include "service/guard.h"

static int64_t limit_for(const struct seat *seat, uint32_t in_flight)
{
    const struct concurrency_options *options = &seat->service->options->concurrency;
    return options->is_adaptive && seat->is_timed
               ? gradient_limit(seat->service->guard->gradient, &options->gradient, in_flight)
               : options->max;
}

/* Workers that look at the same moment count before they look: never too many. */
static bool enter(struct seat *seat)
{
    struct guard *guard = seat->service->guard;
    const struct concurrency_options *options = &seat->service->options->concurrency;
    seat->entered = loop_now();
    if (!options->max && !(options->is_adaptive && seat->is_timed))
        return true;
    uint32_t others = atomic_fetch_add_explicit(&guard->in_flight, 1, memory_order_relaxed);
    seat->is_inside = others < limit_for(seat, others + 1);
    if (!seat->is_inside)
        atomic_fetch_sub_explicit(&guard->in_flight, 1, memory_order_relaxed);
    return seat->is_inside;
}

static void leave(struct seat *seat)
{
    if (seat->is_inside)
        atomic_fetch_sub_explicit(&seat->service->guard->in_flight, 1, memory_order_relaxed);
    seat->is_inside = false;
}

enum status seat_take(struct seat *seat)
{
    if (!enter(seat))
        return SERVICE_BUSY;
    enum status e = seat->choose(seat->argument);
    if (e)
        leave(seat);
    return e;
}

static enum status take(void *argument)
{
    return seat_take(argument);
}

static enum status wait_for_seat(struct seat *seat, instant deadline)
{
    const struct service_options *options = seat->service->options;
    struct queue_waiter waiter = {.take = take, .argument = seat, .rank = seat->rank};
    int64_t time = options->queue.time ? options->queue.time : options->timeout.connect;
    instant began = loop_now();
    if (options->queue.size == 0)
        return SERVICE_BUSY;
    enum status e = queue_wait(&seat->service->guard->queue, seat->worker, options->queue.size,
        clock_sooner(deadline, clock_after(began, time)), &waiter);
    metric_observe(plane_shard(seat->service->plane, seat->worker),
        seat->service->guard->wait_series, loop_now() - began);
    return e;
}

enum status seat_try(struct seat *seat)
{
    const struct queue *queue = &seat->service->guard->queue;
    bool others_wait = atomic_load_explicit(&queue->waiting, memory_order_relaxed) > 0;
    return others_wait ? SERVICE_BUSY : seat_take(seat);
}

enum status seat_find(struct seat *seat, instant deadline)
{
    enum status e = seat_try(seat);
    return e == SERVICE_BUSY ? wait_for_seat(seat, deadline) : e;
}

void seat_leave(struct seat *seat)
{
    if (!seat->is_inside)
        return;
    leave(seat);
    queue_stir(&seat->service->guard->queue, seat->worker);
}
