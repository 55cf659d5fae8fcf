#include "service/place.h"

#include "run/loop.h"
#include "service/guard.h"

void place_learn(const struct call *call, bool is_failure)
{
    const struct service_options *options = call->service->options;
    const struct guard *guard = call->service->guard;
    if (options->concurrency.is_adaptive && !is_failure)
        gradient_answered(guard->gradient, &options->concurrency.gradient, call->seat.entered,
            loop_now(), random_next(loop_random()));
    if (options->shed.is_set)
        admission_learn(guard->admission, &options->shed, loop_now(), !is_failure);
}

static enum status choose(void *argument)
{
    return attempt_choose(argument);
}

static bool is_turned_away(const struct call *call)
{
    return !admission_passes(call->service->guard->admission, &call->service->options->shed,
        call->seat.rank, loop_now(), random_next(loop_random()));
}

/* Most services shed nothing. */
static inline bool is_shed(const struct call *call)
{
    return call->service->options->shed.is_set && is_turned_away(call);
}

static struct seat seat_for(struct attempt *attempt)
{
    const struct call *call = attempt->call;
    return (struct seat){.service = call->service,
        .worker = call->x->worker,
        .rank = (unsigned)(QUEUE_RANKS / 2 - 1 - call->x->importance),
        .is_timed = true,
        .choose = choose,
        .argument = attempt};
}

enum status place_find(struct call *call)
{
    call->seat = seat_for(call->attempt);
    return is_shed(call) ? LOAD_SHED : seat_find(&call->seat, call->x->deadline);
}

enum status place_find_second(struct attempt *second, struct seat *seat)
{
    *seat = seat_for(second);
    return is_shed(second->call) ? LOAD_SHED : seat_try(seat);
}

void place_leave(struct call *call)
{
    seat_leave(&call->seat);
}
