#include "service/call.h"

#include "run/loop.h"
#include "run/proxy_header.h"
#include "service/connect.h"
#include "service/overload.h"

#define CHANGES_MAX 3 /* of an endpoint's mind about HTTP/2, within one try */
#define TRIES_MAX   CHOICE_TRIES_MAX

/* --- the endpoint */

static enum status use_endpoint(struct call *call, uint32_t index)
{
    struct exchange *x = call->x;
    call->index = index;
    call->endpoint = call->view->set->endpoints[index];
    atomic_fetch_add_explicit(&call->endpoint->load.in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&call->endpoint->load.requests, 1, memory_order_relaxed);
    call->is_counted = true;
    x->facts.endpoint = call->endpoint->text;
    if (call->service->has_names) /* this one may be gone before the log line is written */
        x->facts.endpoint = arena_copy(&x->arena, call->endpoint->text);
    return x->facts.endpoint.data ? OK : NO_MEMORY;
}

static void leave_endpoint(struct call *call)
{
    if (call->is_counted)
        atomic_fetch_sub_explicit(&call->endpoint->load.in_flight, 1, memory_order_relaxed);
    call->is_counted = false;
}

static enum status choose(struct call *call)
{
    const struct endpoint_set *set = call->view->set;
    uint32_t index = choice_pick(&call->choice, call->service, call->view);
    if (index != PICK_NONE)
        return use_endpoint(call, index);
    return set->count == 0 && set->trouble ? set->trouble : overload_why_nobody(set);
}

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

struct slice call_host(const struct call *call)
{
    struct slice host = call->service->options->host;
    if (host.size == 0)
        return call->x->request.authority;
    if (!slice_equal(host, SLICE("endpoint")))
        return host;
    return call->endpoint->address.any.sa_family == AF_UNIX ? SLICE("localhost")
                                                            : call->endpoint->text;
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

/* --- one try */

static bool is_gateway_failure(int status)
{
    return status == 502 || status == 503 || status == 504;
}

static void count_answer(struct call *call)
{
    const struct service *service = call->service;
    int64_t took = loop_now() - call->began;
    metric_observe(
        plane_shard(service->plane, call->x->worker), call->endpoint->duration_series, took);
    if (call->response.status < 500)
        mark_answered(call->endpoint, took);
    else
        mark_slow(call->endpoint, took);
    if (is_gateway_failure(call->response.status))
        mark_failed(call->view, call->index, &service->options->outlier, "status 502, 503 or 504");
    else if (call->response.status >= 500)
        mark_bad_answer(call->view, call->index, &service->options->outlier, "status 5xx");
    else
        mark_good(call->endpoint);
}

/* Speaks of the client's connection: who is behind a trusted proxy, only its fields tell. */
static size_t write_proxy_header(const struct call *call, char room[PROXY_HEADER_ROOM])
{
    enum proxy_version version = (enum proxy_version)call->service->options->send_proxy;
    const struct exchange *x = call->x;
    if (version == PROXY_NONE || !x->door)
        return 0;
    return proxy_header_write(version, &x->peer, stream_local(x->door), room);
}

static enum status acquire_single(struct call *call, struct pool *pool, bool only_new)
{
    char room[PROXY_HEADER_ROOM];
    struct slice first = slice_of(room, write_proxy_header(call, room));
    call->transport = &transport_h1;
    return pool_acquire(
        pool, call->service->options, first, only_new, call->x->deadline, &call->upstream);
}

/* A call of gRPC cannot be made by HTTP/1.1, which the endpoint may have chosen. */
static enum status acquire_shared(struct call *call, struct pool *pool)
{
    struct pool_h2_choice choice = {NULL, NULL};
    call->transport = &transport_h2;
    enum status e = pool_h2_acquire(pool, call->service->options, call->x->deadline, &choice);
    if (call->x->grpc && (choice.single || e == NOT_IMPLEMENTED)) {
        pool_discard(choice.single);
        return UPSTREAM_PROTOCOL;
    }
    if (choice.single)
        call->transport = &transport_h1;
    call->upstream = choice.single;
    call->shared = choice.shared;
    call->is_on_old = choice.shared && choice.shared->requests > 1;
    return e;
}

/* Over TLS an endpoint agrees to HTTP/2 or does not, and may change its mind. */
static enum status acquire(struct call *call, bool only_new)
{
    struct pool *pool = &call->endpoint->pools[call->x->worker];
    enum status e = NOT_IMPLEMENTED;
    for (int i = 0; i < CHANGES_MAX && e == NOT_IMPLEMENTED; i++) {
        bool is_shared =
            call->service->options->speaks_http2 && (!pool->speaks_h1 || call->x->grpc);
        e = is_shared ? acquire_shared(call, pool) : acquire_single(call, pool, only_new);
    }
    return e == NOT_IMPLEMENTED ? UPSTREAM_PROTOCOL : e;
}

static enum status try_once(struct call *call, bool only_new)
{
    call->began = loop_now();
    call->x->facts.tries++;
    enum status e = acquire(call, only_new);
    if (e)
        return e;
    e = upload_exchange(call);
    if (!e)
        count_answer(call);
    return e;
}

/* --- what a failure means */

/* Failures that are the endpoint's. The client's, and our own limits, are not held against it. */
static bool is_endpoint_failure(enum status e)
{
    return connect_is_failure(e) || e == UPSTREAM_CLOSED || e == UPSTREAM_RESET ||
           e == UPSTREAM_TIMEOUT || e == UPSTREAM_WRITE_TIMEOUT || e == UPSTREAM_PROTOCOL ||
           e == UPSTREAM_HEAD_TOO_LARGE;
}

static void count_failure(struct call *call, enum status e)
{
    if (is_endpoint_failure(e)) {
        mark_slow(call->endpoint, loop_now() - call->began);
        mark_failed(call->view, call->index, &call->service->options->outlier, status_word(e));
    }
    if (status_http(e) > 500) /* what the client did is no failure of the service */
        service_count_failure(call->service, call->x->worker, e);
}

static void give_up_connection(struct call *call)
{
    upload_stop(&call->upload);
    call->transport->finish(call, false);
}

static void count_retry(struct call *call)
{
    metric_add(plane_shard(call->service->plane, call->x->worker), call->service->retry_series, 1);
}

/* Tries until there is an answer or no safe way to try again. */
static enum status try_until_answered(struct call *call)
{
    bool only_new = false;
    choice_begin(&call->choice, call->service, call->x);
    enum status e = choose(call);
    for (int tries = 1; !e; tries++) {
        e = try_once(call, only_new);
        if (!e)
            return OK;
        bool again_here =
            tries < TRIES_MAX && call->transport->may_repeat(call, e) && upload_rewind(call);
        give_up_connection(call);
        if (!again_here)
            count_failure(call, e);
        if (!again_here && (!connect_is_failure(e) || tries == TRIES_MAX))
            return e;
        only_new = again_here;
        if (!again_here) {
            leave_endpoint(call);
            choice_exclude(&call->choice, call->index);
            if (choose(call))
                return e;
        }
        count_retry(call);
        e = OK;
    }
    return e;
}

void call_finish(struct call *call, bool can_go_on)
{
    upload_stop(&call->upload);
    call->transport->finish(call, can_go_on);
    call->answer.inner = NULL;
    leave_endpoint(call);
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

enum status service_call(const struct service *service, struct exchange *x)
{
    if (x->is_rehearsal)
        return rehearse(service, x);
    if (x->is_websocket && service->options->speaks_http2)
        return NOT_IMPLEMENTED; /* RFC 8441 is not asked of services */
    struct call *call = arena_alloc(&x->arena, sizeof *call);
    if (!call)
        return NO_MEMORY;
    memset(call, 0, offsetof(struct call, answer.h1));
    call->transport = service->options->speaks_http2 ? &transport_h2 : &transport_h1;
    instant began = loop_now();
    call->service = service;
    call->x = x;
    call->view = roster_use(service->roster, x->worker);
    x->facts.service = service->name;
    x->facts.service_id = service->id;
    upload_plan(call);
    enum status e = wait_for_names(call);
    if (!e)
        e = try_until_answered(call);
    int64_t took = loop_now() - began;
    x->facts.upstream_time += took > 0 ? took : 1;
    if (!e)
        e = answer_begin(call);
    if (!e)
        choice_keep(&call->choice, service, x);
    if (e)
        call_finish(call, false);
    return e == ALL_OVERLOADED ? overload_answer(x, &service->options->agent.overload) : e;
}
