/* Pools: connections to one endpoint that one worker keeps open between requests.
 *
 * Last in, first out, so that a few stay warm and the rest grow old and are closed. An idle
 * connection is parked: it has no fiber and no buffer, and goes at once when the peer closes it or
 * speaks out of turn.
 *
 * All workers together open at most `max` connections to an endpoint. Who finds that many waits,
 * first come, first served, until one of its own worker is free, or another worker sends one over:
 * idle connections move between workers as descriptors in messages. One with TLS cannot move; it is
 * closed, which makes room for another.
 *
 * One that began with a PROXY header is for requests of the client that it speaks of; it does not
 * move either, and the oldest such one makes room for a new one.
 *
 * Connections of HTTP/2 are shared by the requests of their worker (pool_h2.h) and count here too.
 *
 * All but pool_init belongs to the pool's worker. */
#pragma once

#include <stdatomic.h>

#include "http/h1.h"
#include "run/mailbox.h"
#include "run/timer.h"
#include "run/tls.h"
#include "service/service_options.h"

struct endpoint;

struct pool {
    _Alignas(64) _Atomic uint32_t idle_count; /* other workers look at it */
    _Atomic uint32_t waiter_count;            /* and at this */
    struct endpoint *endpoint;                /* counted while the pool is not closed */
    unsigned worker;
    bool is_closed;
    bool is_retiring;           /* guarded by the plane's mutex: `retire` has been posted */
    struct list idle;           /* of struct upstream, the newest first */
    struct list waiters;        /* who waits longest first */
    struct timer expiry;        /* of the oldest idle one */
    struct tls_session session; /* the newest with the endpoint, to be resumed */
    struct message retire;      /* from the control thread: close for good */

    /* Of pool_h2.c: connections that requests share. */
    struct list shared;         /* of struct shared_upstream */
    struct list shared_waiters; /* who waits longest first */
    uint32_t shared_waiter_count;
    bool is_opening; /* a request opens one; others wait for that */
    bool speaks_h1;  /* the endpoint did not agree to HTTP/2 (ALPN) the last time */
    uint32_t shared_count, stream_count;   /* such connections, and requests on them */
    uint32_t shared_series, stream_series; /* metrics of these; 0 before the first connection */
};

/* A connection to an endpoint. While a request uses it, the request owns it. */
struct upstream {
    struct list node;
    struct wire wire;
    struct pool *pool;               /* borrowed */
    const struct tls_client *client; /* what TLS was begun with, counted by it; NULL: in clear */
    instant born, expires;
    uint64_t requests; /* answered so far; 0: it is new */
    size_t first_size;
    char *first; /* owned: what was sent before all else, and whom it is for; NULL: for everyone */
};

void pool_init(struct pool *pool, struct endpoint *endpoint, unsigned worker);

/* A connection, from the pool or new, that began with `first` (empty: with nothing). `only_new`:
 * one that has carried nothing yet, since an old one has just failed. The UPSTREAM_… statuses of
 * connecting, CANCELLED, OVERLOADED (no descriptors), NO_MEMORY; NOT_IMPLEMENTED: the endpoint now
 * wants HTTP/2 to be spoken. */
enum status pool_acquire(struct pool *pool, const struct service_options *options,
    struct slice first, bool only_new, instant deadline, struct upstream **ret_upstream);

/* Back, after an answer that was read to its end on a connection that goes on. */
void pool_give(struct upstream *upstream, const struct connection_options *options);

/* Closes it. NULL is fine. */
void pool_discard(struct upstream *upstream);

/* Closes what is idle, for good; connections that come back are closed too. */
void pool_close(struct pool *pool);

/* True when both sides have agreed on HTTP/2 (ALPN). */
bool pool_is_h2(const struct stream *stream);

/* --- for pool_h2.c */

/* Makes one of a stream that began with `first`, for which room has been reserved, and which is its
 * own from then on, also on failure. NO_MEMORY. */
enum status pool_adopt(struct pool *pool, struct stream *stream,
    const struct service_options *options, struct slice first, struct upstream **ret_upstream);

/* Room for one more among all workers' connections to the endpoint; false: there is none. */
bool pool_reserve(struct pool *pool, int64_t max);

/* The same whatever the bound says. */
void pool_reserve_anyway(struct pool *pool);

/* Gives room back. */
void pool_unreserve(struct pool *pool);
