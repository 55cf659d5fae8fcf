#include "service/call.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/connect.h"
#include "service/hedge.h"
#include "service/outcome.h"
#include "service/overload.h"
#include "service/place.h"

#define REPEATS_MAX 2 /* of a request on another connection, since one was tired of being used */

static enum status wait_for_endpoints(struct call *call)
{
    int64_t patience = call->service->options->timeout.connect;
    return view_await(
        &call->view, clock_sooner(call->x->deadline, clock_after(loop_now(), patience)));
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

/* True when there is another endpoint to ask. One that has refused to be connected to is not asked
 * again; others may be, when nobody else is left. */
static bool has_another(struct call *call, enum status e)
{
    struct choice *choice = &call->choice;
    if (connect_is_failure(e))
        choice_exclude_for_good(choice, call->attempt->index);
    else
        choice_exclude(choice, call->attempt->index);
    if (choice_pick(choice, call->service, call->view) != PICK_NONE)
        return true;
    choice_forgive(choice);
    return choice_pick(choice, call->service, call->view) != PICK_NONE;
}

static void count_retry(const struct attempt *attempt, enum status e)
{
    char number[4];
    struct text text = text_fixed(number, sizeof number);
    text_add_i64(&text, attempt->response.status);
    service_count_retry(attempt->call->service, attempt->call->x->worker,
        e ? slice_of_text(status_word(e)) : text_slice(&text));
}

/* Gives the attempt up, and takes it to another endpoint after the pause. If none takes it then,
 * the failure that there was is what the client hears of. */
static enum status move_on(struct call *call, enum status failure)
{
    count_retry(call->attempt, failure);
    attempt_discard(call->attempt, !failure);
    enum status e = fiber_sleep_until(clock_after(loop_now(), call->retry.pause));
    if (!e)
        e = attempt_choose(call->attempt);
    return e && e != CANCELLED && failure ? failure : e;
}

enum status call_ask(struct attempt *attempt)
{
    struct call *call = attempt->call;
    enum status e = attempt_run(attempt, false);
    while (e && call->repeats < REPEATS_MAX && attempt->transport->was_tired(attempt, e) &&
           parcel_rewind(attempt)) {
        attempt_hang_up(attempt);
        call->repeats++;
        count_retry(attempt, e);
        e = attempt_run(attempt, true);
    }
    return e;
}

/* Tries until there is an answer that is wanted, or no safe way to try again. */
static enum status try_until_answered(struct call *call)
{
    choice_begin(&call->choice, call->service, call->x);
    enum status e = place_find(call);
    if (e)
        return e;
    for (;;) {
        e = call->hedge ? hedge_ask(call) : call_ask(call->attempt);
        if (e)
            upload_stop(&call->attempt->upload);
        attempt_report(call->attempt, e, false);
        if (!retry_wanted(call, call->attempt, e))
            return e;
        if (!has_another(call, e) || !retry_take(call))
            return e;
        e = move_on(call, e);
        if (e)
            return e;
    }
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
    if (service->options->timeout.total)
        exchange_limit(
            x, clock_after(call->began, service->options->timeout.total), UPSTREAM_TOTAL_TIMEOUT);
    retry_begin(&call->retry, call);
    hedge_begin(call);
    parcel_plan(call);
    enum status e = breakers_admit(service, x->worker);
    return e ? e : wait_for_endpoints(call);
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

/* What stands before the whole service learns from what the client would hear. */
static void learn(const struct call *call, enum status e)
{
    bool is_failure = e || attempt_status(call->attempt) >= 500;
    if (e && !outcome_is_failure(e))
        return;
    place_learn(call, is_failure);
    breakers_learn_of_call(call->service, call->x->worker, call->began, is_failure);
}

/* How long a client had better wait, when the service itself was not asked; 0: nobody can say. */
static int64_t wait_of(const struct call *call, enum status e)
{
    const struct service_options *options = call->service->options;
    if (e == BREAKER_OPEN)
        return breakers_wait(call->service, call->view->set);
    if (e == QUEUE_TIMEOUT || e == QUEUE_FULL)
        return options->queue.time ? options->queue.time : options->timeout.connect;
    return e == SERVICE_BUSY || e == LOAD_SHED ? SECOND : 0;
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
        retry_end(&call->retry, call);
    }
    int64_t took = loop_now() - call->began;
    x->facts.upstream_time += took > 0 ? took : 1;
    if (!e)
        e = upload_settle(call->attempt);
    if (!e)
        e = answer_begin(call);
    if (!e)
        choice_keep(&call->choice, service, x);
    if (e) {
        bool is_safe = retry_is_safe(call, e);
        say_when(call, e);
        call_finish(call, false);
        x->is_spent = !is_safe || !parcel_hand_on(call);
    }
    return e == ALL_OVERLOADED && !service->options->fallback.is_set
               ? overload_answer(x, &service->options->agent.overload)
               : e;
}
