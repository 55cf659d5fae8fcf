#include "service/dial.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/connect.h"
#include "service/fallback.h"
#include "service/guard.h"
#include "service/outcome.h"
#include "service/versions.h"

/* Expressions are asked of an exchange: one in which nothing is known but who calls. */
static void ask_caller(struct dial *dial, const struct dial_caller *caller)
{
    struct exchange x = {.deadline = NEVER, .worker = dial->worker};
    arena_init(&x.arena, 0, 64 * 1024);
    fields_init(&x.request.fields, &x.arena);
    fields_init(&x.response.fields, &x.arena);
    x.facts.listener = caller->listener;
    x.peer = x.client = *caller->client;
    choice_begin_with(&dial->choice, dial->service, &x);
    dial->choice.cookie = SLICE_NONE; /* there is none, and the arena goes */
    arena_release(&x.arena);
}

const struct service *dial_service(const struct service *service, unsigned worker)
{
    return service->versions ? versions_draw(service->versions, worker) : service;
}

/* One connection more, of all workers, if there may be. */
static bool reserve(struct dial *dial, struct endpoint *endpoint)
{
    int64_t max = dial->service->options->connections.max;
    dial->is_open = atomic_fetch_add(&endpoint->load.open, 1) < max;
    if (!dial->is_open)
        atomic_fetch_sub(&endpoint->load.open, 1);
    return dial->is_open;
}

static void give_back(struct dial *dial, struct endpoint *endpoint)
{
    if (dial->is_open)
        atomic_fetch_sub(&endpoint->load.open, 1);
    dial->is_open = false;
}

/* Why it may not be dialled now; OK: it may, and has a connection more if one is wanted. */
static enum status why_not(void *argument, struct endpoint *endpoint)
{
    struct dial *dial = argument;
    if (dial->connects && !reserve(dial, endpoint))
        return SERVICE_BUSY;
    if (breakers_claim(dial->service, endpoint))
        return OK;
    give_back(dial, endpoint);
    return BREAKER_OPEN;
}

static enum status choose(void *argument)
{
    struct dial *dial = argument;
    const struct endpoint_set *set = dial->view->set;
    enum status e =
        choice_claim(&dial->choice, dial->service, dial->view, why_not, dial, &dial->index);
    if (e)
        return e;
    dial->endpoint = set->endpoints[dial->index];
    dial->text = dial->endpoint->text;
    dial->tries++;
    choice_settle(&dial->choice, dial->service, dial->worker);
    atomic_fetch_add_explicit(&dial->endpoint->load.in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&dial->endpoint->load.requests, 1, memory_order_relaxed);
    return OK;
}

void dial_begin(struct dial *dial, const struct service *service, unsigned worker,
    const struct dial_caller *caller)
{
    *dial = (struct dial){.service = service, .worker = worker, .first = caller->first};
    dial->seat = (struct seat){.service = service,
        .worker = worker,
        .rank = QUEUE_RANKS / 2 - 1,
        .choose = choose,
        .argument = dial};
    dial->view = roster_use(service->roster, worker);
    if (service->is_choosy)
        ask_caller(dial, caller);
}

enum status dial_choose(struct dial *dial)
{
    if (dial->tries)
        return choose(dial);
    enum status e = breakers_admit(dial->service, dial->worker);
    return e ? e : seat_take(&dial->seat);
}

void dial_leave(struct dial *dial)
{
    struct endpoint *endpoint = dial->endpoint;
    if (!endpoint)
        return;
    give_back(dial, endpoint);
    atomic_fetch_sub_explicit(&endpoint->load.in_flight, 1, memory_order_relaxed);
    choice_exclude(&dial->choice, dial->index);
    dial->endpoint = NULL;
    queue_stir(&dial->service->guard->queue, dial->worker);
}

void dial_end(struct dial *dial)
{
    dial_leave(dial);
    seat_leave(&dial->seat);
    if (dial->view)
        view_release(dial->view);
    dial->view = NULL;
}

static void report(const struct dial *dial, enum status reason)
{
    outcome_report(&(struct outcome){.service = dial->service,
        .view = dial->view,
        .index = dial->index,
        .reason = reason,
        .is_evidence = dial->tries == 1});
}

/* A breaker of the whole service learns from whether one connects at all, and where there are no
 * connections, from what comes back. */
static void learn(const struct dial *dial, enum status e)
{
    if (!e || outcome_is_failure(e))
        breakers_learn_of_call(dial->service, dial->worker, loop_now(), e != OK);
}

void dial_good(struct dial *dial)
{
    report(dial, OK);
    if (!dial->is_open)
        learn(dial, OK);
}

void dial_failed(struct dial *dial, enum status reason)
{
    report(dial, reason);
    if (!dial->is_open)
        learn(dial, reason);
}

/* --- connecting */

static enum status try_once(struct dial *dial, instant deadline, struct stream **ret_stream)
{
    instant until = clock_after(loop_now(), dial->service->options->timeout.connect);
    struct endpoint *endpoint = dial->endpoint;
    return connect_endpoint(endpoint, dial->service->options, dial->first,
        &endpoint->pools[dial->worker].session, clock_sooner(until, deadline), ret_stream);
}

static enum status connect_somewhere(
    struct dial *dial, instant deadline, struct stream **ret_stream)
{
    instant until = clock_after(loop_now(), dial->service->options->timeout.connect);
    enum status e = view_await(&dial->view, clock_sooner(until, deadline));
    if (!e)
        e = breakers_admit(dial->service, dial->worker);
    if (!e)
        e = seat_find(&dial->seat, deadline);
    while (!e) {
        e = try_once(dial, deadline, ret_stream);
        if (!e)
            return OK;
        if (!connect_is_failure(e))
            return e;
        report(dial, e);
        if (dial->tries == DIAL_TRIES_MAX)
            return e;
        dial_leave(dial);
        if (choose(dial))
            return e; /* nobody else is left */
        service_count_retry(dial->service, dial->worker, slice_of_text(status_word(e)));
        e = OK;
    }
    return e;
}

/* Of those that have not come to an endpoint, which counts its own. */
static void count_refusal(const struct dial *dial, enum status e)
{
    if (e == BREAKER_OPEN || e == SERVICE_BUSY || e == QUEUE_FULL || e == QUEUE_TIMEOUT)
        service_count_failure(dial->service, dial->worker, e);
}

const struct service *dial_instead(const struct dial *dial, enum status e)
{
    return fallback_instead(dial->service, e, dial->worker);
}

enum status dial_connect(struct dial *dial, instant deadline, struct stream **ret_stream)
{
    dial->connects = true;
    enum status e = connect_somewhere(dial, deadline, ret_stream);
    learn(dial, e);
    count_refusal(dial, e);
    return e;
}
