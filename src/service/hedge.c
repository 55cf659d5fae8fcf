#include "service/hedge.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/hedging.h"
#include "service/place.h"

#define SOONEST MILLISECOND /* a second request costs more than it can win before that */

struct racer {
    struct race *race;
    struct attempt *attempt;
    bool has_ended;
    enum status outcome; /* what became of it then, */
    instant ended;       /* and when */
};

/* In the exchange's arena. */
struct race {
    struct call *call;
    struct pace *pace; /* of the route; NULL: the time is a fixed one */
    instant began;
    struct scope scope;
    struct fiber *waiter; /* the exchange's own; NULL: what comes now comes too late */
    struct racer first, second;
    struct seat seat; /* the second's */
    bool is_on;       /* it was sent */
};

/* --- may it be? */

static bool may_be_sent_twice(const struct call *call, const struct hedge_rule *rule)
{
    const struct exchange *x = call->x;
    if (x->grpc)
        return rule->has_calls;
    return http_method_is_idempotent(x->request.method) || (rule->is_keyed && retry_has_key(call));
}

void hedge_begin_with(struct call *call, const struct hedge_rule *rule)
{
    const struct exchange *x = call->x;
    bool is_alone = x->is_websocket || x->is_copy || call->service->sticky != NULL;
    if (hedge_rule_is_on(rule) && !is_alone && may_be_sent_twice(call, rule))
        call->hedge = rule;
}

/* --- how long is unusual */

/* 0: that is not known yet. */
static int64_t time_of(const struct call *call, struct pace *pace, instant now)
{
    if (!pace)
        return call->hedge->after.time;
    int64_t time = pace_time(pace, now);
    return time && time < SOONEST ? SOONEST : time;
}

/* Answers that are failures, which may come soon, say nothing of how long good ones take. */
static bool is_of_pace(const struct call *call, enum status e)
{
    if (e)
        return e == UPSTREAM_TIMEOUT || e == UPSTREAM_TRY_TIMEOUT;
    return attempt_status(call->attempt) < 500;
}

/* --- running */

static void run(void *argument)
{
    struct racer *racer = argument;
    struct race *race = racer->race;
    enum status outcome = call_ask(racer->attempt);
    if (!race->waiter)
        return;
    racer->outcome = outcome;
    racer->ended = loop_now();
    racer->has_ended = true;
    fiber_wake(race->waiter);
}

/* Nobody would be tried again for it, and it is no failure. */
static bool is_good(const struct racer *racer)
{
    const struct attempt *attempt = racer->attempt;
    return racer->has_ended && !racer->outcome && attempt_status(attempt) < 500 &&
           !retry_wanted(attempt->call, attempt, OK);
}

static bool is_decided(const struct race *race)
{
    bool has_second_ended = !race->is_on || race->second.has_ended;
    return is_good(&race->first) || is_good(&race->second) ||
           (race->first.has_ended && has_second_ended);
}

/* --- the second */

/* What takes more requests only if all is well with it. */
static bool is_busy(const struct call *call)
{
    return breakers_are(call->service, BREAKER_PER_SERVICE) &&
           breaker_state(&call->service->guard->breaker) != BREAKER_IS_CLOSED;
}

static enum status start_second(struct race *race)
{
    struct attempt *attempt = arena_new(&race->call->x->arena, struct attempt);
    if (!attempt)
        return NO_MEMORY;
    attempt_init(attempt, race->call);
    attempt->is_second = true;
    race->second = (struct racer){.race = race, .attempt = attempt};
    enum status e = place_find_second(attempt, &race->seat);
    if (!e)
        e = parcel_share(attempt);
    if (!e)
        e = scope_start(&race->scope, run, &race->second);
    if (e) {
        attempt_finish(attempt, false);
        seat_leave(&race->seat);
    }
    return e;
}

/* Why not, or NULL: it is under way. */
static const char *send_second(struct race *race)
{
    struct call *call = race->call;
    struct retry_budget *budget = &call->service->hedging->budget;
    if (is_busy(call))
        return "busy";
    if (!retry_budget_take(budget, &call->service->options->hedge.budget, loop_now()))
        return "budget";
    choice_exclude(&call->choice, call->first.index);
    enum status e = start_second(race);
    race->is_on = e == OK;
    if (e)
        retry_budget_forgo(budget);
    return !e ? NULL : e == SERVICE_BUSY || e == LOAD_SHED ? "busy" : "no-endpoint";
}

/* Until the first has ended, or has had its time. A body that is still being sent then gets the
 * same time again. */
static enum status wait_for_first(struct race *race, int64_t time)
{
    struct call *call = race->call;
    instant until = clock_after(race->began, time);
    while (!race->first.has_ended) {
        enum status e = fiber_wait(until);
        if (e == CANCELLED)
            return e;
        if (race->first.has_ended || loop_now() < until)
            continue;
        until = clock_after(loop_now(), time);
        if (!parcel_is_whole(&call->first))
            continue;
        const char *reason = send_second(race);
        if (reason)
            service_count_unhedged(call->service, call->x->worker, reason);
        return OK;
    }
    return OK;
}

/* --- the end */

/* A good one; else one that has at least an answer, the first rather than the second. */
static struct racer *winner_of(struct race *race)
{
    struct racer *first = &race->first, *second = &race->second;
    if (is_good(first) || !race->is_on)
        return first;
    bool is_better = first->has_ended && first->outcome && second->has_ended && !second->outcome;
    return is_good(second) || is_better ? second : first;
}

/* One that has come to its end says what became of it as if it had been alone. */
static void dismiss(struct racer *loser)
{
    struct attempt *attempt = loser->attempt;
    if (loser->has_ended)
        attempt_report(attempt, loser->outcome, false);
    else
        attempt_report_lost(attempt);
    attempt_finish(attempt, false);
    if (attempt->is_second)
        choice_exclude(&attempt->call->choice, attempt->index);
}

static enum status settle(struct race *race)
{
    struct call *call = race->call;
    struct racer *winner = winner_of(race);
    bool has_won = winner == &race->second;
    dismiss(has_won ? &race->first : &race->second);
    retry_budget_return(&call->service->hedging->budget);
    seat_leave(&race->seat);
    service_count_hedge(call->service, call->x->worker, has_won ? "won" : "lost");
    call->x->facts.hedge = has_won ? HEDGE_WON : HEDGE_LOST;
    call->attempt = winner->attempt;
    call->attempt->twin = NULL;
    call->attempt->is_second = false;
    if (!winner->outcome)
        call->x->grpc_reset = GRPC_OK; /* the other's */
    enum status e = attempt_name(call->attempt);
    return winner->outcome ? winner->outcome : e;
}

static void learn(const struct race *race)
{
    const struct racer *first = &race->first;
    instant ended = first->has_ended ? first->ended : loop_now();
    if (race->pace && (!first->has_ended || is_of_pace(race->call, first->outcome)))
        pace_note(race->pace, ended, ended - race->began);
}

/* With the first under way. */
static enum status run_race(struct race *race, int64_t time)
{
    enum status e = wait_for_first(race, time);
    while (!e && !is_decided(race)) {
        e = fiber_wait(NEVER);
        e = e == CANCELLED ? e : OK;
    }
    race->waiter = NULL;
    scope_end(&race->scope);
    if (!e)
        learn(race);
    enum status outcome = race->is_on ? settle(race) : race->first.outcome;
    return e ? e : outcome;
}

static struct race *race_new(struct call *call, struct pace *pace)
{
    struct race *race = arena_new(&call->x->arena, struct race);
    if (!race)
        return NULL;
    race->call = call;
    race->pace = pace;
    race->began = loop_now();
    race->waiter = fiber_current();
    race->first = (struct racer){.race = race, .attempt = call->attempt};
    scope_init(&race->scope);
    return race;
}

static enum status ask_alone(struct call *call, struct pace *pace)
{
    instant began = loop_now();
    enum status e = call_ask(call->attempt);
    if (pace && is_of_pace(call, e))
        pace_note(pace, loop_now(), loop_now() - began);
    return e;
}

enum status hedge_ask(struct call *call)
{
    instant now = loop_now();
    if (call->retry.made > 0)
        return call_ask(call->attempt);
    struct hedging *hedging = call->service->hedging;
    const struct hedge_after *after = &call->hedge->after;
    struct pace *pace =
        after->time ? NULL : hedging_pace(hedging, call->x->facts.route, after->share);
    retry_budget_note(&hedging->budget, now);
    int64_t time = after->time || pace ? time_of(call, pace, now) : 0;
    bool has_time = time && clock_after(now, time) < call->x->deadline;
    struct race *race = has_time && call->view->set->count > 1 ? race_new(call, pace) : NULL;
    if (!race || scope_start(&race->scope, run, &race->first))
        return ask_alone(call, pace);
    return run_race(race, time);
}
