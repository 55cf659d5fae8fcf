#include "service/place.h"

#include "run/loop.h"
#include "service/guard.h"

/* Workers that look at the same moment count before they look: never too many. */
static bool enter(struct call *call)
{
    struct guard *guard = call->service->guard;
    const struct concurrency_options *options = &call->service->options->concurrency;
    call->entered = loop_now();
    if (!options->max && !options->is_adaptive)
        return true;
    uint32_t others = atomic_fetch_add_explicit(&guard->in_flight, 1, memory_order_relaxed);
    int64_t limit = options->is_adaptive
                        ? gradient_limit(guard->gradient, &options->gradient, others + 1)
                        : options->max;
    call->is_inside = others < limit;
    if (!call->is_inside)
        atomic_fetch_sub_explicit(&guard->in_flight, 1, memory_order_relaxed);
    return call->is_inside;
}

void place_answered(const struct call *call)
{
    const struct concurrency_options *options = &call->service->options->concurrency;
    if (options->is_adaptive)
        gradient_answered(call->service->guard->gradient, &options->gradient, call->entered,
            loop_now(), random_next(loop_random()));
}

static void leave(struct call *call)
{
    if (call->is_inside)
        atomic_fetch_sub_explicit(&call->service->guard->in_flight, 1, memory_order_relaxed);
    call->is_inside = false;
}

static enum status take(void *argument)
{
    struct call *call = argument;
    if (!enter(call))
        return SERVICE_BUSY;
    enum status e = attempt_choose(call->attempt);
    if (e)
        leave(call);
    return e;
}

static enum status wait_for_place(struct call *call)
{
    const struct service_options *options = call->service->options;
    struct queue_waiter waiter = {.take = take,
        .argument = call,
        .rank = (unsigned)(QUEUE_RANKS / 2 - 1 - call->x->importance)};
    int64_t time = options->queue.time ? options->queue.time : options->timeout.connect;
    instant began = loop_now();
    if (options->queue.size == 0)
        return SERVICE_BUSY;
    enum status e = queue_wait(&call->service->guard->queue, call->x->worker, options->queue.size,
        clock_sooner(call->x->deadline, clock_after(began, time)), &waiter);
    metric_observe(plane_shard(call->service->plane, call->x->worker),
        call->service->guard->wait_series, loop_now() - began);
    return e;
}

enum status place_find(struct call *call)
{
    const struct queue *queue = &call->service->guard->queue;
    bool others_wait = atomic_load_explicit(&queue->waiting, memory_order_relaxed) > 0;
    enum status e = others_wait ? SERVICE_BUSY : take(call);
    return e == SERVICE_BUSY ? wait_for_place(call) : e;
}

void place_leave(struct call *call)
{
    if (!call->is_inside)
        return;
    leave(call);
    queue_stir(&call->service->guard->queue, call->x->worker);
}
