#include "service/pool_h2.h"

#include "run/loop.h"
#include "service/call.h"
#include "service/connect.h"
#include "service/service_tls.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/* How often a request that waits for room looks for itself: other workers that close a connection
 * do not tell. */
#define LOOK_AGAIN (20 * MILLISECOND)

static const struct metric_family connections_family = {"weir_upstream_http2_connections",
    "Open connections of HTTP/2 to an endpoint.", METRIC_GAUGE, {"service", "endpoint"}};
static const struct metric_family streams_family = {"weir_upstream_http2_streams",
    "Requests under way on them.", METRIC_GAUGE, {"service", "endpoint"}};
static const struct metric_family resets_family = {"weir_upstream_http2_resets_total",
    "Requests that a service reset, by the code of its RST_STREAM.", METRIC_COUNTER,
    {"service", "code"}};
static const struct metric_family goaways_family = {"weir_upstream_http2_goaways_total",
    "Connections that a service asked to end, by the code of its GOAWAY.", METRIC_COUNTER,
    {"service", "code"}};

struct waiter {
    struct list node;
    struct fiber *fiber;
    enum status failure; /* of the connection that it waited for */
};

static void wake_first(struct pool *pool)
{
    if (!list_is_empty(&pool->shared_waiters))
        fiber_wake(list_entry(pool->shared_waiters.next, struct waiter, node)->fiber);
}

/* --- metrics */

static void show(const struct pool *pool, uint32_t series, uint32_t value)
{
    if (series)
        metric_set(plane_shard(pool->endpoint->plane, pool->worker), series, value);
}

static void count_stream(struct pool *pool, int change)
{
    pool->stream_count += (uint32_t)change;
    show(pool, pool->stream_series, pool->stream_count);
}

static void count_connection(struct pool *pool, int change)
{
    struct metrics *metrics = pool->endpoint->plane->options.metrics;
    struct slice labels[] = {pool->endpoint->service_name, pool->endpoint->text};
    if (metrics && !pool->shared_series) {
        pool->shared_series = metrics_series(metrics, &connections_family, labels);
        pool->stream_series = metrics_series(metrics, &streams_family, labels);
    }
    pool->shared_count += (uint32_t)change;
    show(pool, pool->shared_series, pool->shared_count);
}

/* Rare enough for the lock that registering takes. */
static void count_code(struct pool *pool, const struct metric_family *family, uint32_t code)
{
    struct metrics *metrics = pool->endpoint->plane->options.metrics;
    struct slice labels[] = {
        pool->endpoint->service_name, slice_of_text(nghttp2_http2_strerror(code))};
    if (metrics)
        metric_add(plane_shard(pool->endpoint->plane, pool->worker),
            metrics_series(metrics, family, labels), 1);
}

static void told(void *owner, enum h2_news news, uint32_t code)
{
    struct pool *pool = ((struct shared_upstream *)owner)->pool;
    switch (news) {
    case H2_CALL_BEGUN:
        count_stream(pool, 1);
        break;
    case H2_CALL_OVER:
        count_stream(pool, -1);
        break;
    case H2_CALL_RESET:
        count_code(pool, &resets_family, code);
        break;
    case H2_GOODBYE:
        count_code(pool, &goaways_family, code);
        break;
    }
}

/* --- a connection's life */

static uint32_t count_idle(const struct pool *pool)
{
    uint32_t idle = 0;
    list_each (node, &pool->shared)
        idle += h2_client_load(list_entry(node, struct shared_upstream, node)->client) == 0;
    return idle;
}

/* Takes no more requests. */
static void retire(struct shared_upstream *upstream)
{
    list_remove(&upstream->node);
    timer_cancel(&upstream->idle);
    h2_client_close(upstream->client);
}

static void idle_too_long(struct timer *timer)
{
    struct shared_upstream *upstream = list_entry(timer, struct shared_upstream, idle);
    if (h2_client_load(upstream->client))
        return;
    if (loop_now() >= upstream->expires)
        retire(upstream);
    else
        timer_set(timer, upstream->expires);
}

static void begin_idling(struct shared_upstream *upstream)
{
    struct pool *pool = upstream->pool;
    if (pool->is_closed || count_idle(pool) > upstream->idle_max) {
        retire(upstream);
        return;
    }
    upstream->expires = clock_after(loop_now(), upstream->idle_timeout);
    if (!timer_is_set(&upstream->idle))
        timer_set(&upstream->idle, upstream->expires);
}

static void changed(void *owner)
{
    struct shared_upstream *upstream = owner;
    struct pool *pool = upstream->pool;
    if (!list_is_empty(&upstream->node) && h2_client_is_over(upstream->client))
        retire(upstream);
    else if (!list_is_empty(&upstream->node) && upstream->requests &&
             h2_client_load(upstream->client) == 0)
        begin_idling(upstream);
    wake_first(pool);
}

static void ended(void *owner)
{
    struct shared_upstream *upstream = owner;
    struct pool *pool = upstream->pool;
    list_remove(&upstream->node);
    timer_cancel(&upstream->idle);
    free(upstream);
    count_connection(pool, -1);
    pool_unreserve(pool);
    wake_first(pool);
    endpoint_unref(pool->endpoint);
}

static struct shared_upstream *begin(
    struct pool *pool, struct stream *stream, const struct service_options *options)
{
    struct shared_upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream) {
        stream_close(stream);
        return NULL;
    }
    upstream->pool = pool;
    upstream->tls = service_tls_client(options);
    upstream->born = loop_now();
    timer_init(&upstream->idle, idle_too_long);
    struct h2_client_options how = {.requests = (uint32_t)options->http2.streams,
        .window = (uint32_t)options->http2.window,
        .ping = options->http2.ping,
        .ping_timeout = options->http2.ping_timeout,
        .limits = &upstream_limits,
        .scheme = service_tls_client(options) ? SLICE("https") : SLICE("http"),
        .changed = changed,
        .told = told,
        .ended = ended,
        .owner = upstream};
    list_init(&upstream->node);
    if (h2_client_new(stream, &how, &upstream->client)) {
        free(upstream);
        return NULL;
    }
    endpoint_ref(pool->endpoint);
    count_connection(pool, 1);
    list_push_back(&pool->shared, &upstream->node);
    return upstream;
}

/* Who waited for this connection shares its fate. */
static void tell_waiters(struct pool *pool, enum status failure)
{
    list_each (node, &pool->shared_waiters) {
        struct waiter *waiter = list_entry(node, struct waiter, node);
        waiter->failure = failure;
        fiber_wake(waiter->fiber);
    }
}

/* What a stream is made into is what both sides have agreed on; without TLS HTTP/2 is taken for
 * granted. */
static enum status use(struct pool *pool, struct stream *stream,
    const struct service_options *options, struct pool_h2_choice *ret_choice)
{
    pool->speaks_h1 = service_tls_client(options) && !pool_is_h2(stream);
    if (pool->speaks_h1) {
        endpoint_note_once(pool->endpoint, "it does not agree to HTTP/2 (ALPN)");
        return pool_adopt(pool, stream, options, SLICE_NONE, &ret_choice->single);
    }
    ret_choice->shared = begin(pool, stream, options);
    return ret_choice->shared ? OK : NO_MEMORY;
}

/* Opens one for which room has been reserved. */
static enum status open_new(struct pool *pool, const struct service_options *options,
    instant deadline, struct pool_h2_choice *ret_choice)
{
    struct stream *stream;
    pool->is_opening = true;
    enum status e =
        connect_endpoint(pool->endpoint, options, SLICE_NONE, &pool->session, deadline, &stream);
    pool->is_opening = false;
    if (!e)
        e = use(pool, stream, options, ret_choice);
    if (e)
        pool_unreserve(pool);
    bool is_shared = e != CANCELLED && (e == OK || list_is_empty(&pool->shared));
    tell_waiters(pool, !is_shared ? OK : !e && pool->speaks_h1 ? NOT_IMPLEMENTED : e);
    return e;
}

/* --- acquiring */

static bool is_worn_out(
    const struct shared_upstream *upstream, const struct connection_options *options)
{
    if (options->requests && upstream->requests >= (uint64_t)options->requests)
        return true;
    return options->lifetime && loop_now() >= clock_after(upstream->born, options->lifetime);
}

static struct shared_upstream *find_room(struct pool *pool, const struct pool_h2_wish *wish)
{
    const struct service_options *options = wish->options;
    list_each (node, &pool->shared) {
        struct shared_upstream *upstream = list_entry(node, struct shared_upstream, node);
        bool is_good = upstream->tls == service_tls_client(options) &&
                       !is_worn_out(upstream, &options->connections) &&
                       !h2_client_is_over(upstream->client);
        bool is_ready = !wish->is_settled || h2_client_is_settled(upstream->client);
        if (!is_good)
            retire(upstream);
        else if (is_ready && h2_client_room(upstream->client))
            return upstream;
    }
    return NULL;
}

/* A connection that is about to have room: opened, or without the peer's SETTINGS yet. */
static bool is_one_coming(const struct pool *pool)
{
    list_each (node, &pool->shared)
        if (!h2_client_is_settled(list_entry(node, struct shared_upstream, node)->client))
            return true;
    return pool->is_opening;
}

static bool may_open(struct pool *pool, int64_t max)
{
    if (is_one_coming(pool))
        return false;
    if (pool_reserve(pool, max))
        return true;
    if (!list_is_empty(&pool->shared))
        return false;
    pool_reserve_anyway(pool);
    return true;
}

/* NOT_FOUND: not yet. */
static enum status take_or_open(
    struct pool *pool, const struct pool_h2_wish *wish, struct pool_h2_choice *ret_choice)
{
    ret_choice->shared = find_room(pool, wish);
    if (ret_choice->shared)
        return OK;
    if (!may_open(pool, wish->options->connections.max))
        return NOT_FOUND;
    enum status e = open_new(pool, wish->options, wish->deadline, ret_choice);
    if (e || !ret_choice->shared || !wish->is_settled)
        return e;
    ret_choice->shared = NULL;
    return NOT_FOUND;
}

static enum status wait_in_queue(struct pool *pool, struct waiter *waiter,
    const struct pool_h2_wish *wish, struct pool_h2_choice *ret_choice)
{
    for (;;) {
        enum status e = fiber_wait(clock_sooner(wish->deadline, loop_now() + LOOK_AGAIN));
        if (e == CANCELLED)
            return e;
        if (waiter->failure)
            return waiter->failure;
        if (pool->shared_waiters.next == &waiter->node || !pool->is_opening)
            e = take_or_open(pool, wish, ret_choice);
        else
            e = NOT_FOUND;
        if (e != NOT_FOUND)
            return e;
        if (loop_now() >= wish->deadline)
            return pool->is_opening ? UPSTREAM_CONNECT_TIMEOUT : UPSTREAM_CONNECTIONS;
    }
}

static enum status queue_for_room(
    struct pool *pool, const struct pool_h2_wish *wish, struct pool_h2_choice *ret_choice)
{
    struct waiter waiter = {.fiber = fiber_current()};
    list_push_back(&pool->shared_waiters, &waiter.node);
    pool->shared_waiter_count++;
    atomic_fetch_add_explicit(&pool->endpoint->waiting, 1, memory_order_relaxed);
    enum status e = wait_in_queue(pool, &waiter, wish, ret_choice);
    atomic_fetch_sub_explicit(&pool->endpoint->waiting, 1, memory_order_relaxed);
    list_remove(&waiter.node);
    pool->shared_waiter_count--;
    return e;
}

static void count_request(struct shared_upstream *upstream, const struct service_options *options)
{
    upstream->requests++;
    upstream->idle_timeout = options->connections.idle_timeout;
    upstream->idle_max = options->connections.idle;
    if (h2_client_room(upstream->client) > 1)
        wake_first(upstream->pool);
}

enum status pool_h2_acquire(
    struct pool *pool, struct pool_h2_wish wish, struct pool_h2_choice *ret_choice)
{
    struct pool_h2_choice choice = {NULL, NULL};
    enum status e = NOT_FOUND;
    wish.deadline =
        clock_sooner(wish.deadline, clock_after(loop_now(), wish.options->timeout.connect));
    if (list_is_empty(&pool->shared_waiters))
        e = take_or_open(pool, &wish, &choice);
    if (e == NOT_FOUND)
        e = queue_for_room(pool, &wish, &choice);
    if (e)
        return e;
    if (choice.shared)
        count_request(choice.shared, wish.options);
    *ret_choice = choice;
    return OK;
}

void pool_h2_close(struct pool *pool)
{
    list_each (node, &pool->shared)
        retire(list_entry(node, struct shared_upstream, node));
}
