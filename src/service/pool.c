#include "service/pool.h"

#include "run/loop.h"
#include "run/socket.h"
#include "service/connect.h"
#include "service/service_tls.h"
#include "service/pool_h2.h"

#include <stdlib.h>
#include <unistd.h>

/* How often a request that waits for a connection looks for itself: the workers that free one do
 * not fence their counters for it. */
#define LOOK_AGAIN (20 * MILLISECOND)

struct waiter {
    struct list node;
    struct fiber *fiber;
    struct upstream *given;
};

/* A connection on its way from one worker to another, or the wish for one. */
struct transfer {
    struct message message;
    struct pool *from, *to; /* of one endpoint, which the transfer counts as a user of */
    int descriptor;
    instant born, expires;
    uint64_t requests;
};

/* --- counting */

/* Only the pool's worker writes these; others read. */
static void add_to(_Atomic uint32_t *count, int more)
{
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, now + (uint32_t)more, memory_order_relaxed);
}

static uint32_t read_count(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* Room for one more among all workers' connections. */
static bool reserve(struct endpoint *endpoint, int64_t max)
{
    if (atomic_fetch_add(&endpoint->load.open, 1) < max)
        return true;
    atomic_fetch_sub(&endpoint->load.open, 1);
    return false;
}

static void unreserve(struct endpoint *endpoint)
{
    atomic_fetch_sub(&endpoint->load.open, 1);
}

static void wake_first(struct pool *pool)
{
    if (!list_is_empty(&pool->waiters))
        fiber_wake(list_entry(pool->waiters.next, struct waiter, node)->fiber);
}

bool pool_reserve(struct pool *pool, int64_t max)
{
    return reserve(pool->endpoint, max);
}

void pool_reserve_anyway(struct pool *pool)
{
    atomic_fetch_add(&pool->endpoint->load.open, 1);
}

void pool_unreserve(struct pool *pool)
{
    unreserve(pool->endpoint);
    wake_first(pool);
}

/* --- idle connections */

static void take_off_idle(struct upstream *upstream)
{
    list_remove(&upstream->node);
    add_to(&upstream->pool->idle_count, -1);
}

void pool_discard(struct upstream *upstream)
{
    if (!upstream)
        return;
    struct pool *pool = upstream->pool;
    wire_release(&upstream->wire);
    free(upstream->first);
    free(upstream);
    unreserve(pool->endpoint);
    wake_first(pool);
}

static void drop_idle(struct upstream *upstream)
{
    take_off_idle(upstream);
    pool_discard(upstream);
}

/* The peer has closed an idle connection, or speaks though nobody asked. */
static void idle_ended(void *argument)
{
    drop_idle(argument);
}

/* Looks at all of them: after a reload with another timeout the oldest need not be the first due.
 */
static void expire(struct timer *timer)
{
    struct pool *pool = list_entry(timer, struct pool, expiry);
    instant next = NEVER;
    list_each (node, &pool->idle) {
        struct upstream *upstream = list_entry(node, struct upstream, node);
        if (upstream->expires <= loop_now()) {
            stream_unpark(upstream->wire.stream);
            drop_idle(upstream);
        } else if (upstream->expires < next) {
            next = upstream->expires;
        }
    }
    timer_set(timer, next);
}

static void park(struct upstream *upstream)
{
    struct pool *pool = upstream->pool;
    list_push_front(&pool->idle, &upstream->node);
    add_to(&pool->idle_count, 1);
    stream_park(upstream->wire.stream, idle_ended, upstream);
    if (!timer_is_set(&pool->expiry) || upstream->expires < pool->expiry.when)
        timer_set(&pool->expiry, upstream->expires);
}

static bool began_with(const struct upstream *upstream, struct slice first)
{
    return slice_equal(slice_of(upstream->first, upstream->first_size), first);
}

/* The newest that is still good and began with `first`, or NULL. One whose TLS was begun by other
 * rules than `client`'s is not good. */
static struct upstream *take_idle(
    struct pool *pool, const struct tls_client *client, struct slice first)
{
    list_each (node, &pool->idle) {
        struct upstream *upstream = list_entry(node, struct upstream, node);
        if (upstream->client == client && !began_with(upstream, first))
            continue;
        stream_unpark(upstream->wire.stream);
        take_off_idle(upstream);
        if (upstream->client == client && stream_is_quiet(upstream->wire.stream))
            return upstream;
        pool_discard(upstream);
    }
    return NULL;
}

/* For another client's, which may never come again. */
static void drop_oldest(struct pool *pool)
{
    if (list_is_empty(&pool->idle))
        return;
    struct upstream *oldest = list_entry(pool->idle.previous, struct upstream, node);
    stream_unpark(oldest->wire.stream);
    drop_idle(oldest);
}

/* To who waits longest, or to rest. */
static void put(struct upstream *upstream)
{
    struct pool *pool = upstream->pool;
    struct list *first = list_pop_front(&pool->waiters);
    if (!first) {
        park(upstream);
        return;
    }
    struct waiter *waiter = list_entry(first, struct waiter, node);
    waiter->given = upstream;
    fiber_wake(waiter->fiber);
}

/* --- between workers */

static void end_transfer(struct transfer *transfer)
{
    struct endpoint *endpoint = transfer->to->endpoint;
    if (transfer->descriptor >= 0) {
        close(transfer->descriptor);
        unreserve(endpoint);
    }
    free(transfer);
    endpoint_unref(endpoint);
}

static struct upstream *new_upstream(struct pool *pool, struct stream *stream)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->pool = pool;
    upstream->born = loop_now();
    list_init(&upstream->node);
    wire_init(&upstream->wire, stream);
    return upstream;
}

/* On the worker that gets the connection. */
static void arrive(struct message *message)
{
    struct transfer *transfer = list_entry(message, struct transfer, message);
    struct pool *pool = transfer->to;
    struct stream *stream;
    int descriptor = transfer->descriptor;
    if (pool->is_closed) {
        end_transfer(transfer);
        return;
    }
    transfer->descriptor = -1;
    struct upstream *upstream = NULL;
    if (socket_adopt(descriptor, pool->endpoint->address, &stream) == OK) {
        upstream = new_upstream(pool, stream);
        if (!upstream)
            stream_close(stream);
    }
    if (upstream) {
        upstream->born = transfer->born;
        upstream->expires = transfer->expires;
        upstream->requests = transfer->requests;
        put(upstream);
    } else {
        unreserve(pool->endpoint);
    }
    end_transfer(transfer);
}

/* Sends a connection to another worker; false when it cannot go there: it is the caller's still. */
static bool send_over(struct upstream *upstream, struct pool *to)
{
    struct transfer *transfer = upstream->first ? NULL : calloc(1, sizeof *transfer);
    if (!transfer)
        return false;
    *transfer = (struct transfer){.message = {.deliver = arrive},
        .from = upstream->pool,
        .to = to,
        .born = upstream->born,
        .expires = upstream->expires,
        .requests = upstream->requests};
    transfer->descriptor = stream_release(upstream->wire.stream);
    if (transfer->descriptor < 0) {
        free(transfer);
        return false;
    }
    free(upstream);
    endpoint_ref(to->endpoint);
    if (!plane_post(to->endpoint->plane, to->worker, &transfer->message))
        end_transfer(transfer);
    return true;
}

/* On the worker that was asked: one that is idle goes to who asked, or at least makes room. */
static void answer_wish(struct message *message)
{
    struct transfer *wish = list_entry(message, struct transfer, message);
    struct list *first = wish->from->idle.next;
    struct upstream *upstream = NULL;
    if (!wish->from->is_closed && first != &wish->from->idle) {
        const struct upstream *newest = list_entry(first, struct upstream, node);
        struct slice began = slice_of(newest->first, newest->first_size);
        upstream = take_idle(wish->from, newest->client, began);
    }
    if (upstream && !send_over(upstream, wish->to))
        pool_discard(upstream);
    end_transfer(wish);
}

/* Asks the worker with the most idle connections for one. What comes goes to the pool, whoever
 * waits there by then. */
static void wish_for_one(struct pool *pool)
{
    struct endpoint *endpoint = pool->endpoint;
    struct pool *from = NULL;
    for (unsigned i = 0; i < endpoint->plane->options.workers; i++) {
        struct pool *other = &endpoint->pools[i];
        if (other != pool &&
            read_count(&other->idle_count) > (from ? read_count(&from->idle_count) : 0))
            from = other;
    }
    struct transfer *wish = from ? calloc(1, sizeof *wish) : NULL;
    if (!wish)
        return;
    *wish = (struct transfer){
        .message = {.deliver = answer_wish}, .from = from, .to = pool, .descriptor = -1};
    endpoint_ref(endpoint);
    if (!plane_post(endpoint->plane, from->worker, &wish->message))
        end_transfer(wish);
}

/* Another worker's pool where somebody waits, or NULL. */
static struct pool *find_needy(struct pool *pool)
{
    struct endpoint *endpoint = pool->endpoint;
    if (read_count(&endpoint->waiting) == 0)
        return NULL;
    for (unsigned i = 0; i < endpoint->plane->options.workers; i++) {
        struct pool *other = &endpoint->pools[i];
        if (other != pool && read_count(&other->waiter_count) > 0)
            return other;
    }
    return NULL;
}

/* --- acquiring */

static bool remember_first(struct upstream *upstream, struct slice first)
{
    upstream->first = first.size ? malloc(first.size) : NULL;
    if (!upstream->first)
        return first.size == 0;
    memcpy(upstream->first, first.data, first.size);
    upstream->first_size = first.size;
    return true;
}

bool pool_is_h2(const struct stream *stream)
{
    struct tls_facts facts;
    return tls_facts(stream, &facts) && slice_equal(facts.protocol, SLICE("h2"));
}

enum status pool_adopt(struct pool *pool, struct stream *stream,
    const struct service_options *options, struct slice first, struct upstream **ret_upstream)
{
    struct upstream *upstream = new_upstream(pool, stream);
    if (!upstream || !remember_first(upstream, first)) {
        free(upstream);
        stream_close(stream);
        return NO_MEMORY;
    }
    upstream->client = service_tls_client(options);
    *ret_upstream = upstream;
    return OK;
}

/* Opens one for which room has been reserved. */
static enum status open_new(struct pool *pool, const struct service_options *options,
    struct slice first, instant deadline, struct upstream **ret_upstream)
{
    struct stream *stream;
    enum status e =
        connect_endpoint(pool->endpoint, options, first, &pool->session, deadline, &stream);
    if (!e && options->speaks_http2 && pool_is_h2(stream)) {
        stream_close(stream);
        pool->speaks_h1 = false;
        e = NOT_IMPLEMENTED;
    }
    if (!e)
        e = pool_adopt(pool, stream, options, first, ret_upstream);
    if (e)
        pool_unreserve(pool);
    return e;
}

static void join_queue(struct pool *pool, struct waiter *waiter)
{
    list_push_back(&pool->waiters, &waiter->node);
    add_to(&pool->waiter_count, 1);
    atomic_fetch_add_explicit(&pool->endpoint->waiting, 1, memory_order_relaxed);
}

static void leave_queue(struct pool *pool, struct waiter *waiter)
{
    list_remove(&waiter->node);
    add_to(&pool->waiter_count, -1);
    atomic_fetch_sub_explicit(&pool->endpoint->waiting, 1, memory_order_relaxed);
}

/* Waits until a connection is given, or there is room for a new one (reserved then, and nothing
 * given). */
static enum status wait_in_queue(
    struct pool *pool, struct waiter *waiter, int64_t max, instant deadline)
{
    for (;;) {
        if (pool->waiters.next == &waiter->node && reserve(pool->endpoint, max))
            return OK;
        wish_for_one(pool);
        enum status e = fiber_wait(clock_sooner(deadline, loop_now() + LOOK_AGAIN));
        if (waiter->given)
            return OK;
        if (e == CANCELLED)
            return e;
        if (loop_now() >= deadline)
            return UPSTREAM_CONNECTIONS;
    }
}

static enum status wait_for_one(struct pool *pool, const struct service_options *options,
    struct slice first, instant deadline, struct upstream **ret_upstream)
{
    struct waiter waiter = {.fiber = fiber_current()};
    join_queue(pool, &waiter);
    enum status e = wait_in_queue(pool, &waiter, options->connections.max, deadline);
    leave_queue(pool, &waiter);
    if (e)
        return e;
    if (!waiter.given)
        return open_new(pool, options, first, deadline, ret_upstream);
    *ret_upstream = waiter.given;
    return OK;
}

/* What is given may come from before a reload that changed how TLS is spoken, or be another
 * client's; then it only makes room. */
static enum status queue_for_one(struct pool *pool, const struct service_options *options,
    struct slice first, instant deadline, struct upstream **ret_upstream)
{
    for (;;) {
        enum status e = wait_for_one(pool, options, first, deadline, ret_upstream);
        if (e || ((*ret_upstream)->client == service_tls_client(options) &&
                     began_with(*ret_upstream, first)))
            return e;
        pool_discard(*ret_upstream);
    }
}

enum status pool_acquire(struct pool *pool, const struct service_options *options,
    struct slice first, bool only_new, instant deadline, struct upstream **ret_upstream)
{
    int64_t max = options->connections.max;
    deadline = clock_sooner(deadline, clock_after(loop_now(), options->timeout.connect));
    if (list_is_empty(&pool->waiters)) {
        struct upstream *upstream = take_idle(pool, service_tls_client(options), first);
        if (upstream && !only_new) {
            *ret_upstream = upstream;
            return OK;
        }
        /* An old one makes room for the new. */
        pool_discard(upstream);
        if (reserve(pool->endpoint, max))
            return open_new(pool, options, first, deadline, ret_upstream);
        if (first.size)
            drop_oldest(pool);
        if (first.size && reserve(pool->endpoint, max))
            return open_new(pool, options, first, deadline, ret_upstream);
    }
    return queue_for_one(pool, options, first, deadline, ret_upstream);
}

/* --- giving back */

static bool may_go_on(const struct upstream *upstream, const struct connection_options *options)
{
    if (options->requests && upstream->requests >= (uint64_t)options->requests)
        return false;
    if (options->lifetime && loop_now() >= clock_after(upstream->born, options->lifetime))
        return false;
    return !wire_has_bytes(&upstream->wire) && stream_is_quiet(upstream->wire.stream);
}

void pool_give(struct upstream *upstream, const struct connection_options *options)
{
    struct pool *pool = upstream->pool;
    upstream->requests++;
    upstream->expires = clock_after(loop_now(), options->idle_timeout);
    if (pool->is_closed || !may_go_on(upstream, options)) {
        pool_discard(upstream);
        return;
    }
    if (list_is_empty(&pool->waiters)) {
        struct pool *needy = find_needy(pool);
        if (needy && send_over(upstream, needy))
            return;
        if (upstream->first && options->idle && read_count(&pool->idle_count) >= options->idle)
            drop_oldest(pool);
        if (needy || read_count(&pool->idle_count) >= options->idle) {
            pool_discard(upstream);
            return;
        }
    }
    put(upstream);
}

void pool_init(struct pool *pool, struct endpoint *endpoint, unsigned worker)
{
    *pool = (struct pool){.endpoint = endpoint, .worker = worker};
    list_init(&pool->idle);
    list_init(&pool->waiters);
    list_init(&pool->shared);
    list_init(&pool->shared_waiters);
    timer_init(&pool->expiry, expire);
}

void pool_close(struct pool *pool)
{
    pool->is_closed = true;
    timer_cancel(&pool->expiry);
    list_each (node, &pool->idle) {
        struct upstream *upstream = list_entry(node, struct upstream, node);
        stream_unpark(upstream->wire.stream);
        drop_idle(upstream);
    }
    pool_h2_close(pool);
}
