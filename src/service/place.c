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

void place_learn(const struct call *call, bool is_failure)
{
    const struct service_options *options = call->service->options;
    const struct guard *guard = call->service->guard;
    if (options->concurrency.is_adaptive && !is_failure)
        gradient_answered(guard->gradient, &options->concurrency.gradient, call->entered,
            loop_now(), random_next(loop_random()));
    if (options->shed.is_set)
        admission_learn(guard->admission, &options->shed, loop_now(), !is_failure);
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

static unsigned rank_of(const struct call *call)
{
    return (unsigned)(QUEUE_RANKS / 2 - 1 - call->x->importance);
}

static enum status wait_for_place(struct call *call)
{
    const struct service_options *options = call->service->options;
    struct queue_waiter waiter = {.take = take, .argument = call, .rank = rank_of(call)};
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

static bool is_shed(const struct call *call)
{
    const struct admission_options *options = &call->service->options->shed;
    return options->is_set && !admission_passes(call->service->guard->admission, options,
                                  rank_of(call), loop_now(), random_next(loop_random()));
}

enum status place_find(struct call *call)
{
    if (is_shed(call))
        return LOAD_SHED;
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
