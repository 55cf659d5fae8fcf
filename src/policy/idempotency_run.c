#include "policy/idempotency_run.h"

#include "run/loop.h"

#define RENEWALS 3 /* in the time of a lease: two may fail */

/* --- on the request's fiber */

/* Nobody can wait for its end. */
static bool is_endless(const struct exchange *x)
{
    struct slice type = fields_value(&x->response.fields, FIELD_CONTENT_TYPE);
    struct slice stream = SLICE("text/event-stream");
    return x->is_lasting || x->tunnel || slice_equal_nocase(slice_head(type, stream.size), stream);
}

static enum status read_answer(struct idempotency_run *run)
{
    struct exchange *x = run->x;
    struct idempotency_download *download = arena_new(&x->arena, struct idempotency_download);
    if (!download)
        return NO_MEMORY;
    enum status e = idempotency_download_init(
        download, x->response.body, &x->arena, run->answer_max, is_endless(x), x->deadline);
    if (e)
        return e;
    run->download = download;
    x->response.body = &download->body;
    return OK;
}

static void run_request(void *argument)
{
    struct idempotency_run *run = argument;
    run->outcome = handler_serve(run->next, run->x);
    if (!run->outcome)
        run->outcome = read_answer(run);
    run->has_ended = true;
    if (run->waiter)
        fiber_wake(run->waiter);
}

/* --- on the exchange's own */

static bool can_leave(const struct exchange *x)
{
    return x->hooks && x->hooks->leaves;
}

/* Until something happens: the request ends, a renewal is due, the client goes; without a client,
 * until the gateway wants to stop. */
static enum status wait_for_news(struct idempotency_run *run)
{
    struct exchange *x = run->x;
    bool dozes = run->is_alone && can_leave(x);
    instant until = run->renewal;
    if (dozes && !run->is_given_up) {
        until = clock_sooner(until, x->hooks->leaves(x));
        x->hooks->doze(x, true);
    }
    run->waiter = fiber_current();
    if (!run->is_alone)
        fiber_unshield();
    enum status e = fiber_wait(until);
    if (!run->is_alone)
        fiber_shield();
    run->waiter = NULL;
    if (dozes && !run->is_given_up)
        x->hooks->doze(x, false);
    return e;
}

/* The client has gone. A gateway that is out of time cancels in the same way. */
static void stay_or_leave(struct idempotency_run *run, bool is_cancelled)
{
    const struct exchange *x = run->x;
    run->is_alone = run->is_alone || is_cancelled;
    if (!run->is_alone || run->is_given_up || !can_leave(x) || x->hooks->leaves(x) > loop_now())
        return;
    run->is_given_up = true;
    scope_cancel(&run->scope);
}

static void renew(struct idempotency_run *run)
{
    struct idempotency_hold *hold = run->hold;
    if (loop_now() < run->renewal)
        return;
    enum status e = idempotency_hold_renew(hold, clock_after(loop_now(), run->patience));
    metric_add(run->shard, e ? run->not_renewed : run->renewed, 1);
    run->renewal = loop_now() + hold->lease / RENEWALS;
}

void idempotency_run(struct idempotency_run *run)
{
    run->renewal = loop_now() + run->hold->lease / RENEWALS;
    scope_init(&run->scope);
    run->outcome = scope_start(&run->scope, run_request, run);
    if (run->outcome)
        return;
    while (!run->has_ended) {
        enum status e = wait_for_news(run);
        if (run->has_ended)
            break;
        stay_or_leave(run, e == CANCELLED);
        renew(run);
    }
    scope_end(&run->scope);
}
