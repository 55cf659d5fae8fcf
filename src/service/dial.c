#include "service/dial.h"

#include "run/loop.h"
#include "service/breakers.h"
#include "service/connect.h"
#include "service/outcome.h"
#include "service/overload.h"
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

void dial_begin(struct dial *dial, const struct service *service, unsigned worker,
    const struct dial_caller *caller)
{
    *dial = (struct dial){.service = service, .worker = worker, .first = caller->first};
    dial->view = roster_use(service->roster, worker);
    if (service->is_choosy)
        ask_caller(dial, caller);
}

enum status dial_choose(struct dial *dial)
{
    const struct endpoint_set *set = dial->view->set;
    if (dial->tries == 0 && breakers_admit(dial->service, dial->worker))
        return BREAKER_OPEN;
    uint32_t index = choice_pick(&dial->choice, dial->service, dial->view);
    if (index != PICK_NONE && !breakers_claim(dial->service, set->endpoints[index]))
        index = PICK_NONE;
    if (index == PICK_NONE)
        return set->count == 0 && set->trouble ? set->trouble
                                               : overload_why_nobody(dial->service, set);
    dial->index = index;
    dial->endpoint = set->endpoints[index];
    dial->text = dial->endpoint->text;
    dial->tries++;
    choice_settle(&dial->choice, dial->service, dial->worker);
    atomic_fetch_add_explicit(&dial->endpoint->load.in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&dial->endpoint->load.requests, 1, memory_order_relaxed);
    return OK;
}

void dial_leave(struct dial *dial)
{
    if (!dial->endpoint)
        return;
    struct load *load = &dial->endpoint->load;
    if (dial->is_open)
        atomic_fetch_sub(&load->open, 1);
    atomic_fetch_sub_explicit(&load->in_flight, 1, memory_order_relaxed);
    choice_exclude(&dial->choice, dial->index);
    dial->is_open = false;
    dial->endpoint = NULL;
}

void dial_end(struct dial *dial)
{
    dial_leave(dial);
    if (dial->view)
        view_release(dial->view);
    dial->view = NULL;
}

static void report(const struct dial *dial, enum status reason)
{
    outcome_report(&(struct outcome){
        .service = dial->service, .view = dial->view, .index = dial->index, .reason = reason});
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

/* Right after the start names may not be resolved yet. */
static enum status wait_for_names(struct dial *dial, instant deadline)
{
    while (dial->view->set->count == 0 && dial->view->set->trouble == INCOMPLETE) {
        if (loop_now() >= deadline)
            return UPSTREAM_DNS_TIMEOUT;
        enum status e = fiber_sleep_until(loop_now() + 10 * MILLISECOND);
        if (e)
            return e;
        view_release(dial->view);
        dial->view = roster_use(dial->service->roster, dial->worker);
    }
    return OK;
}

/* One connection more, of all workers, if there may be. */
static bool reserve(struct dial *dial)
{
    int64_t max = dial->service->options->connections.max;
    dial->is_open = true;
    return atomic_fetch_add(&dial->endpoint->load.open, 1) < max;
}

static enum status try_once(struct dial *dial, instant deadline, struct stream **ret_stream)
{
    instant until = clock_after(loop_now(), dial->service->options->timeout.connect);
    if (!reserve(dial))
        return UPSTREAM_CONNECTIONS;
    struct endpoint *endpoint = dial->endpoint;
    return connect_endpoint(endpoint, dial->service->options, dial->first,
        &endpoint->pools[dial->worker].session, clock_sooner(until, deadline), ret_stream);
}

static enum status connect_somewhere(
    struct dial *dial, instant deadline, struct stream **ret_stream)
{
    instant until = clock_after(loop_now(), dial->service->options->timeout.connect);
    enum status e = wait_for_names(dial, clock_sooner(until, deadline));
    if (!e)
        e = dial_choose(dial);
    while (!e) {
        e = try_once(dial, deadline, ret_stream);
        if (!e)
            return OK;
        if (connect_is_failure(e))
            report(dial, e);
        bool may_go_on = connect_is_failure(e) || e == UPSTREAM_CONNECTIONS;
        if (!may_go_on || dial->tries == DIAL_TRIES_MAX)
            return e;
        dial_leave(dial);
        if (dial_choose(dial))
            return e; /* nobody else is left */
        service_count_retry(dial->service, dial->worker, slice_of_text(status_word(e)));
        e = OK;
    }
    return e;
}

enum status dial_connect(struct dial *dial, instant deadline, struct stream **ret_stream)
{
    enum status e = connect_somewhere(dial, deadline, ret_stream);
    learn(dial, e);
    return e;
}
