#include "service/call.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/connect.h"
#include "service/outcome.h"
#include "service/overload.h"
#include "service/place.h"

#define TRIES_MAX CHOICE_TRIES_MAX

/* Right after the start names may not be resolved yet. */
static enum status wait_for_names(struct call *call)
{
    const struct service *service = call->service;
    instant until =
        clock_sooner(call->x->deadline, clock_after(loop_now(), service->options->timeout.connect));
    while (call->view->set->count == 0 && call->view->set->trouble == INCOMPLETE) {
        if (loop_now() >= until)
            return UPSTREAM_DNS_TIMEOUT;
        enum status e = fiber_sleep_until(loop_now() + 10 * MILLISECOND);
        if (e)
            return e;
        view_release(call->view);
        call->view = roster_use(service->roster, call->x->worker);
    }
    return OK;
}

int64_t call_idle(const struct call *call)
{
    return call->x->grpc || call->x->is_lasting ? 0 : call->service->options->timeout.idle;
}

int64_t call_patience(const struct call *call)
{
    if (call->x->patience)
        return call->x->patience;
    return call->x->grpc ? 0 : call->service->options->timeout.first_byte;
}

/* --- tries */

static void count_retry(struct call *call)
{
    metric_add(plane_shard(call->service->plane, call->x->worker), call->service->retry_series, 1);
}

/* Tries until there is an answer or no safe way to try again. */
static enum status try_until_answered(struct call *call)
{
    struct attempt *attempt = call->attempt;
    bool only_new = false;
    choice_begin(&call->choice, call->service, call->x);
    enum status e = place_find(call);
    for (int tries = 1; !e; tries++) {
        e = attempt_run(attempt, only_new);
        if (!e) {
            attempt_report(attempt, OK, false);
            return OK;
        }
        bool again_here =
            tries < TRIES_MAX && attempt->transport->may_repeat(attempt, e) && parcel_rewind(call);
        attempt_hang_up(attempt);
        if (!again_here)
            attempt_report(attempt, e, false);
        if (!again_here && (!connect_is_failure(e) || tries == TRIES_MAX))
            return e;
        only_new = again_here;
        if (!again_here) {
            attempt_leave(attempt);
            if (attempt_choose(attempt))
                return e;
        }
        count_retry(call);
        e = OK;
    }
    return e;
}

/* --- where calls begin and end */

static enum status begin(struct call *call, const struct service *service, struct exchange *x)
{
    memset(call, 0, offsetof(struct call, answer.h1));
    call->service = service;
    call->x = x;
    call->began = loop_now();
    call->view = roster_use(service->roster, x->worker);
    call->attempt = &call->first;
    attempt_init(&call->first, call);
    x->facts.service = service->name;
    x->facts.service_id = service->id;
    parcel_plan(call);
    enum status e = breakers_admit(service, x->worker);
    return e ? e : wait_for_names(call);
}

void call_finish(struct call *call, bool can_go_on)
{
    attempt_finish(call->attempt, can_go_on);
    place_leave(call);
    call->answer.inner = NULL;
    if (call->view)
        view_release(call->view);
    call->view = NULL;
}

/* `weir test` and `weir explain` want to know that it would be called, not to call it. */
static enum status rehearse(const struct service *service, struct exchange *x)
{
    x->facts.service = service->name;
    x->facts.tries = 1;
    return exchange_respond(x, 200, SLICE_NONE, SLICE_NONE);
}

/* A breaker of the whole service learns from what the client would hear. */
static void learn(const struct call *call, enum status e)
{
    if (!e || outcome_is_failure(e))
        breakers_learn_of_call(
            call->service, call->x->worker, call->began, e || attempt_status(call->attempt) >= 500);
}

/* How long a client had better wait, when the service itself was not asked; 0: nobody can say. */
static int64_t wait_of(const struct call *call, enum status e)
{
    const struct service_options *options = call->service->options;
    if (e == BREAKER_OPEN)
        return breakers_wait(call->service, call->view->set);
    if (e == QUEUE_TIMEOUT || e == QUEUE_FULL)
        return options->queue.time ? options->queue.time : options->timeout.connect;
    return e == SERVICE_BUSY ? SECOND : 0;
}

/* Rounded up, so that nobody comes in vain. */
static void say_when(const struct call *call, enum status e)
{
    struct exchange *x = call->x;
    int64_t wait = wait_of(call, e);
    if (wait <= 0)
        return;
    int64_t seconds = wait / SECOND + (wait % SECOND != 0);
    struct slice value = arena_format(&x->arena, "%lld", (long long)seconds);
    if (!x->response.fields.arena)
        fields_init(&x->response.fields, &x->arena);
    if (value.data)
        (void)fields_set_known(&x->response.fields, FIELD_RETRY_AFTER, value);
    service_count_failure(call->service, x->worker, e);
}

enum status call_run(const struct service *service, struct exchange *x)
{
    if (x->is_rehearsal)
        return rehearse(service, x);
    struct call *call = arena_alloc(&x->arena, sizeof *call);
    if (!call)
        return NO_MEMORY;
    enum status e = begin(call, service, x);
    if (!e) {
        e = try_until_answered(call);
        learn(call, e);
    }
    int64_t took = loop_now() - call->began;
    x->facts.upstream_time += took > 0 ? took : 1;
    if (!e)
        e = answer_begin(call);
    if (!e)
        choice_keep(&call->choice, service, x);
    if (e) {
        say_when(call, e);
        call_finish(call, false);
    }
    return e == ALL_OVERLOADED && !service->options->fallback.is_set
               ? overload_answer(x, &service->options->agent.overload)
               : e;
}
