#include "policy/limit_wait.h"

#include "run/loop.h"

/* Whatever the algorithm says: a wait of nothing is no wait. */
#define WAIT_LEAST (100 * MICROSECOND)

static void count_waiting(const struct limit *limit, const struct exchange *x, int change)
{
    metric_add(limit->shards[x->worker], limit->waiting, (uint64_t)(int64_t)change);
}

static instant end_of(const struct limit *limit, const struct exchange *x)
{
    return clock_sooner(clock_after(loop_now(), limit->over.time), x->deadline);
}

/* Gateways do not tell each other when something is given back. */
#define LOOK_IN_STORE (25 * MILLISECOND)

/* How long so much more takes to come, in the long run. */
static int64_t time_for(const struct limit_part *part, int64_t ahead)
{
    const struct limit_rule *rule = &part->plan->rule;
    __int128 units = (__int128)ahead * part->cost;
    __int128 time = part->limit->algorithm->is_instant
                        ? units * rule->interval / LIMIT_TICKS
                        : units / rule->count * rule->per; /* windows open at a stroke */
    return time > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)time;
}

/* Whether somebody behind so many others would still wait when his time is over. */
static bool is_hopeless(const struct limit_part *part, int64_t ahead, instant until)
{
    int64_t wait = part->is_decided ? part->decision.wait : 0;
    if (part->limit->algorithm->is_held) /* nobody knows how long the others take */
        return false;
    return part->limit->over.action == LIMIT_OVER_DELAY &&
           time_for(part, ahead) > until - loop_now() - wait;
}

/* When the one who waits should look again. */
static instant next_look(const struct limit_part *part, bool is_first)
{
    const struct limit *limit = part->limit;
    int64_t wait = is_first && part->decision.wait ? part->decision.wait : LIMIT_LINE_LOOK;
    if (is_first && limit->algorithm->is_held && limit->shared.store)
        wait = LOOK_IN_STORE;
    return loop_now() + (wait > WAIT_LEAST ? wait : WAIT_LEAST);
}

static enum status wait_for_turn(
    struct limit_part *part, struct exchange *x, struct limit_waiter *waiter, instant until)
{
    struct limit_lines *lines = part->limit->state->lines;
    bool is_first = limit_lines_is_first(lines, waiter);
    for (;;) {
        enum status e = fiber_wait(clock_sooner(until, next_look(part, is_first)));
        if (e == CANCELLED)
            return e;
        is_first = limit_lines_is_first(lines, waiter);
        e = is_first ? limit_take(part, x) : OK;
        if (e)
            return e;
        if (is_first && part->decision.allowed)
            return OK;
        if (loop_now() >= until)
            return LIMIT_EXCEEDED;
    }
}

enum status limit_wait(struct limit_part *part, struct exchange *x)
{
    const struct limit *limit = part->limit;
    struct limit_waiter waiter;
    instant until = end_of(limit, x);
    if (is_hopeless(part, 0, until) ||
        limit_lines_join(limit->state->lines, part->key, limit->over.size, &waiter))
        return LIMIT_EXCEEDED;
    enum status e = LIMIT_EXCEEDED;
    if (!is_hopeless(part, waiter.ahead, until)) {
        count_waiting(limit, x, 1);
        e = wait_for_turn(part, x, &waiter, until);
        count_waiting(limit, x, -1);
    }
    limit_lines_leave(limit->state->lines, &waiter);
    return e;
}

enum status limit_hold(const struct limit *limit, struct exchange *x)
{
    _Atomic int64_t *held = &limit->state->held;
    enum status e = FULL;
    if (atomic_fetch_add_explicit(held, 1, memory_order_relaxed) < limit->over.size) {
        count_waiting(limit, x, 1);
        e = fiber_sleep_until(end_of(limit, x));
        count_waiting(limit, x, -1);
    }
    atomic_fetch_sub_explicit(held, 1, memory_order_relaxed);
    return e;
}

enum status limit_hold_back(const struct limit_part *part, struct exchange *x)
{
    const struct limit *limit = part->limit;
    instant until = clock_after(loop_now(), part->decision.delay);
    if (until >= x->deadline || part->decision.delay > limit->hold)
        return LIMIT_EXCEEDED;
    _Atomic int64_t *delayed = &limit->state->delayed;
    enum status e = LIMIT_EXCEEDED;
    if (atomic_fetch_add_explicit(delayed, 1, memory_order_relaxed) < limit->held_max) {
        count_waiting(limit, x, 1);
        e = fiber_sleep_until(until);
        count_waiting(limit, x, -1);
    }
    atomic_fetch_sub_explicit(delayed, 1, memory_order_relaxed);
    return e;
}
