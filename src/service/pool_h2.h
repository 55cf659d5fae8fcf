/* The shared part of a pool: connections of HTTP/2, each of which carries many requests of its
 * worker.
 *
 * A request takes the first connection that has room. When none has, one request opens another
 * while the rest wait for that, or for room. All workers together open at most `max` of an
 * endpoint, but each may have one: these connections cannot move between workers.
 *
 * A connection that has no requests for the idle timeout, that has carried its number of them, or
 * that is older than its lifetime takes no more and ends. */
#pragma once

#include "http/h2_client.h"
#include "service/pool.h"

struct shared_upstream {
    struct list node;  /* in the pool's list until it takes no more */
    struct pool *pool; /* its endpoint is counted */
    struct h2_client *client;
    const struct tls_client *tls; /* whose rules TLS was begun by; not to be looked into */
    struct timer idle;
    instant born, expires;
    int64_t idle_timeout; /* nanoseconds, as the newest request's service says */
    int64_t idle_max;
    uint64_t requests; /* begun */
};

/* What there is for a request, one of the two. */
struct pool_h2_choice {
    struct shared_upstream *shared; /* it has room, which is not taken yet: begin at once */
    struct upstream *single;        /* the endpoint wants HTTP/1.1; owned */
};

/* For whom. */
struct pool_h2_wish {
    const struct service_options *options;
    bool is_settled; /* the endpoint must have said by its SETTINGS what it can do */
    instant deadline;
};

/* Statuses of pool_acquire; NOT_IMPLEMENTED: the endpoint has not agreed to HTTP/2, as a request
 * that was before found out. */
enum status pool_h2_acquire(
    struct pool *pool, struct pool_h2_wish wish, struct pool_h2_choice *ret_choice);

/* The connections end with their last request. */
void pool_h2_close(struct pool *pool);
