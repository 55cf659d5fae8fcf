/* A forward proxy: clients of a listener that says so are taken to targets that no service names,
 * by CONNECT (RFC 9110 §9.3.6, RFC 9113 §8.5) through a tunnel, or by plain HTTP request by
 * request.
 *
 *     target.h     where they may go: patterns of names, networks and ports
 *     special.h    addresses where no name leads them
 *     reach.h      from a target to a connection: resolved, checked, connected
 *     tunnel.h     bytes between a client and what it was connected to
 *     forward.h    one request, and its answer
 *
 * The address that was checked is the one that is connected to: a name is resolved once for each
 * connection, and nobody asks again in between. */
#pragma once

#include "base/metrics.h"
#include "base/registry.h"
#include "http/exchange.h"
#include "proxy/target.h"

struct service_plane;

struct proxy_options {
    struct option_list to; /* of struct proxy_pattern */
    int64_t connect_timeout, idle_timeout;
    int64_t connections_max; /* of a worker; 0: any number */
};

/* The gateway's own listening addresses, to which nobody is taken unless the list means just them.
 */
struct proxy_own {
    const struct address *addresses; /* borrowed from the snapshot; set before it is published */
    size_t count;
};

/* What is counted of one listener by one worker; outlives reloads. */
struct proxy_load {
    _Alignas(64) uint32_t open;
    uint32_t open_series, received_series, sent_series, spliced_series;
};

/* Ready to serve; in the snapshot. */
struct proxy {
    const struct proxy_options *options;
    const struct proxy_own *own;
    struct service_plane *plane;         /* borrowed: whose workers resolve */
    struct metrics_shard *const *shards; /* borrowed: one a worker */
    struct proxy_load *loads;            /* one a worker, of the registry's object */
};

struct proxy_prepare {
    struct arena *arena; /* the snapshot's, which keeps the loads */
    struct registry *registry;
    struct metrics *metrics;
    struct metrics_shard *const *shards;
    struct service_plane *plane;
    const struct proxy_own *own;
    unsigned workers;
};

/* NO_MEMORY. */
enum status proxy_new(const struct proxy_prepare *prepare, struct slice listener,
    const struct proxy_options *options, const struct proxy **ret_proxy);

/* A handler (its state is the struct proxy): answers CONNECT, or a request whose target names
 * scheme and host. TARGET_DENIED, TARGET_ADDRESS_DENIED, OVERLOADED, NOT_IMPLEMENTED (a request by
 * HTTPS, which is for a tunnel), the UPSTREAM_… statuses, CLIENT_CLOSED, NO_MEMORY, CANCELLED. */
enum status proxy_serve(const void *state, struct exchange *x);

/* True when the exchange asks for a tunnel: CONNECT, but not for another protocol (RFC 8441). */
bool proxy_is_tunnel(const struct exchange *x);

/* --- for the files of this folder: one more connection, one less */

bool proxy_enter(const struct proxy *proxy, unsigned worker);
void proxy_leave(const struct proxy *proxy, unsigned worker);
