#include "service/attempt.h"

#include "http/deadline.h"
#include "run/loop.h"
#include "run/proxy_header.h"
#include "service/breakers.h"
#include "service/call.h"
#include "service/outcome.h"
#include "service/service_tls.h"

#define CHANGES_MAX 3 /* of an endpoint's mind about HTTP/2, within one try */

void attempt_init(struct attempt *attempt, struct call *call)
{
    attempt->call = call;
    attempt->transport = call->service->options->speaks_http2 ? &transport_h2 : &transport_h1;
}

/* --- the endpoint */

enum status attempt_name(const struct attempt *attempt)
{
    struct exchange *x = attempt->call->x;
    x->facts.endpoint = attempt->endpoint->text;
    if (attempt->call->service->has_names) /* it may be gone before the log line is written */
        x->facts.endpoint = arena_copy(&x->arena, attempt->endpoint->text);
    return x->facts.endpoint.data ? OK : NO_MEMORY;
}

static enum status use_endpoint(struct attempt *attempt, uint32_t index)
{
    struct endpoint *endpoint = attempt->call->view->set->endpoints[index];
    attempt->index = index;
    attempt->endpoint = endpoint;
    atomic_fetch_add_explicit(&endpoint->load.in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&endpoint->load.requests, 1, memory_order_relaxed);
    attempt->is_counted = true;
    return attempt->is_second ? OK : attempt_name(attempt);
}

/* Why it may not be asked now; OK: it may. */
static enum status why_not(void *argument, struct endpoint *endpoint)
{
    const struct attempt *attempt = argument;
    const struct call *call = attempt->call;
    uint32_t in_flight = atomic_load_explicit(&endpoint->load.in_flight, memory_order_relaxed);
    if (in_flight >= call->service->room)
        return SERVICE_BUSY; /* its connections carry no more */
    if (attempt->is_second)  /* it may be given up: it is nobody's trial */
        return breakers_is_closed(call->service, endpoint) ? OK : BREAKER_OPEN;
    return breakers_claim(call->service, endpoint) ? OK : BREAKER_OPEN;
}

enum status attempt_choose(struct attempt *attempt)
{
    struct call *call = attempt->call;
    uint32_t index;
    enum status e =
        choice_claim(&call->choice, call->service, call->view, why_not, attempt, &index);
    return e ? e : use_endpoint(attempt, index);
}

static void release_endpoint(struct attempt *attempt)
{
    if (!attempt->is_counted)
        return;
    atomic_fetch_sub_explicit(&attempt->endpoint->load.in_flight, 1, memory_order_relaxed);
    attempt->is_counted = false;
    queue_stir(&attempt->call->service->guard->queue, attempt->call->x->worker);
}

struct slice attempt_host(const struct attempt *attempt)
{
    const struct call *call = attempt->call;
    struct slice host = call->service->options->host;
    if (host.size == 0)
        return call->x->request.authority;
    if (!slice_equal(host, SLICE("endpoint")))
        return host;
    return attempt->endpoint->address->any.sa_family == AF_UNIX ? SLICE("localhost")
                                                                : attempt->endpoint->text;
}

/* --- the connection */

/* Speaks of the client's connection: who is behind a trusted proxy, only its fields tell. */
static size_t write_proxy_header(const struct call *call, char room[PROXY_HEADER_ROOM])
{
    enum proxy_version version = (enum proxy_version)call->service->options->send_proxy;
    const struct exchange *x = call->x;
    if (version == PROXY_NONE || !x->door)
        return 0;
    return proxy_header_write(version, &x->peer, stream_local(x->door), room);
}

static enum status acquire_single(struct attempt *attempt, struct pool *pool,
    const struct service_options *options, bool only_new)
{
    char room[PROXY_HEADER_ROOM];
    const struct call *call = attempt->call;
    struct slice first = slice_of(room, write_proxy_header(call, room));
    attempt->transport = &transport_h1;
    attempt->shared = NULL;
    return pool_acquire(pool, options, first, only_new, attempt->deadline, &attempt->upstream);
}

/* A call of gRPC cannot be made by HTTP/1.1, which the endpoint may have chosen. */
static enum status acquire_shared(struct attempt *attempt, struct pool *pool)
{
    struct pool_h2_choice choice = {NULL, NULL};
    const struct call *call = attempt->call;
    attempt->transport = &transport_h2;
    struct pool_h2_wish wish = {call->service->options, call->x->is_websocket, attempt->deadline};
    enum status e = pool_h2_acquire(pool, wish, &choice);
    if (call->x->grpc && (choice.single || e == NOT_IMPLEMENTED)) {
        pool_discard(choice.single);
        return UPSTREAM_PROTOCOL;
    }
    if (choice.single)
        attempt->transport = &transport_h1;
    attempt->upstream = choice.single;
    attempt->shared = choice.shared;
    attempt->is_on_old = choice.shared && choice.shared->requests > 1;
    return e;
}

/* An endpoint takes WebSockets by HTTP/2 or does not (RFC 8441). Over TLS it can be asked by
 * HTTP/1.1 then. */
static enum status acquire_for_websocket(struct attempt *attempt, struct pool *pool, bool only_new)
{
    const struct service_options *options = attempt->call->service->options;
    enum status e = acquire_shared(attempt, pool);
    if (e || !attempt->shared || h2_client_connects(attempt->shared->client))
        return e;
    if (!options->tls.state)
        return UPSTREAM_NO_WEBSOCKET;
    return acquire_single(attempt, pool, options->tls.state->http_1, only_new);
}

/* Over TLS an endpoint agrees to HTTP/2 or does not, and may change its mind. */
static enum status acquire(struct attempt *attempt, bool only_new)
{
    const struct call *call = attempt->call;
    const struct service_options *options = call->service->options;
    struct pool *pool = &attempt->endpoint->pools[call->x->worker];
    enum status e = NOT_IMPLEMENTED;
    for (int i = 0; i < CHANGES_MAX && e == NOT_IMPLEMENTED; i++) {
        bool is_shared = options->speaks_http2 && (!pool->speaks_h1 || call->x->grpc);
        if (!is_shared)
            e = acquire_single(attempt, pool, options, only_new);
        else if (call->x->is_websocket)
            e = acquire_for_websocket(attempt, pool, only_new);
        else
            e = acquire_shared(attempt, pool);
    }
    return e == NOT_IMPLEMENTED ? UPSTREAM_PROTOCOL : e;
}

/* --- from here to there */

/* What a timeout is called that came since the try's own time was over, or the whole call's. */
static enum status name_lateness(const struct attempt *attempt, enum status e)
{
    const struct exchange *x = attempt->call->x;
    if (e != UPSTREAM_TIMEOUT && e != UPSTREAM_WRITE_TIMEOUT && e != UPSTREAM_CONNECT_TIMEOUT)
        return e;
    if (loop_now() >= x->deadline)
        return exchange_lateness(x);
    return attempt->is_connected && loop_now() >= attempt->deadline ? UPSTREAM_TRY_TIMEOUT : e;
}

/* Connected. */
static enum status exchange(struct attempt *attempt)
{
    struct exchange *x = attempt->call->x;
    attempt->is_connected = true;
    enum status e = deadline_forward(x, attempt->deadline);
    if (e)
        return e;
    e = upload_exchange(attempt);
    if (!e || !attempt->transport->is_unseen(attempt, e))
        x->may_be_done = true;
    return e;
}

enum status attempt_run(struct attempt *attempt, bool only_new)
{
    struct exchange *x = attempt->call->x;
    int64_t time = attempt->call->service->options->timeout.attempt;
    attempt->began = loop_now();
    attempt->is_answered = attempt->is_connected = false;
    attempt->deadline = x->deadline;
    if (time)
        attempt->deadline = clock_sooner(x->deadline, clock_after(attempt->began, time));
    x->facts.tries++;
    enum status e = acquire(attempt, only_new);
    if (!e)
        e = exchange(attempt);
    return e ? name_lateness(attempt, e) : OK;
}

/* A call of gRPC that fails at once says so in its head, beside a status of 200. */
int attempt_status(const struct attempt *attempt)
{
    const struct http_response *response = &attempt->response;
    return attempt->call->x->grpc && response->status == 200
               ? grpc_http_status(fields_value(&response->fields, FIELD_GRPC_STATUS))
               : response->status;
}

/* The first try of a request, and what becomes of that one's body; never its hedge, which is asked
 * since the first took long. */
static bool gives_evidence(const struct attempt *attempt, bool is_late)
{
    struct exchange *x = attempt->call->x;
    if (is_late)
        return x->facts.tries == 1;
    if (x->evidence == EVIDENCE_GIVEN || attempt->is_second)
        return false;
    x->evidence = EVIDENCE_GIVEN;
    return true;
}

void attempt_report(const struct attempt *attempt, enum status e, bool is_late)
{
    const struct call *call = attempt->call;
    int64_t took = is_late ? 0 : loop_now() - attempt->began;
    outcome_report(&(struct outcome){.service = call->service,
        .view = call->view,
        .index = attempt->index,
        .reason = e,
        .status = e ? 0 : attempt_status(attempt),
        .took = took,
        .is_connected = attempt->is_connected,
        .is_evidence = call->x->evidence && gives_evidence(attempt, is_late),
        .is_late = is_late});
}

void attempt_report_lost(const struct attempt *attempt)
{
    outcome_report(&(struct outcome){.service = attempt->call->service,
        .view = attempt->call->view,
        .index = attempt->index,
        .took = loop_now() - attempt->began,
        .is_lost = true,
        .is_evidence = attempt->call->x->evidence && gives_evidence(attempt, false)});
}

void attempt_hang_up(struct attempt *attempt)
{
    upload_stop(&attempt->upload);
    attempt->transport->finish(attempt, false);
}

void attempt_finish(struct attempt *attempt, bool can_go_on)
{
    upload_stop(&attempt->upload);
    attempt->transport->finish(attempt, can_go_on);
    release_endpoint(attempt);
}

/* What is here of it already costs nothing to read, and then the connection can serve others. */
static bool read_rest(struct attempt *attempt)
{
    const struct h1_framing *framing = &attempt->framing;
    struct slice bytes;
    bool is_last = false;
    if (framing->kind == H1_NO_BODY || (framing->kind == H1_LENGTH && framing->length == 0))
        return true;
    struct body *body = attempt->call->answer.inner = attempt->transport->body(attempt);
    (void)body_peek(body, &is_last);
    while (is_last && body_read(body, loop_now(), &bytes) == OK)
        ;
    return is_last;
}

void attempt_discard(struct attempt *attempt, bool has_answer)
{
    bool can_go_on = has_answer && read_rest(attempt);
    attempt_finish(attempt, can_go_on);
    attempt->call->answer.inner = NULL;
    attempt->framing = (struct h1_framing){0};
}
