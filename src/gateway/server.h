/* The server side of HTTP connections: what every listener shares, whether clients of the gateway
 * or its operators come in by it.
 *
 * A `struct server` lives on one loop and owns the connections that it accepted. Each request
 * becomes an exchange on a fiber of its own; between requests a connection is parked and has
 * neither fiber nor buffer. What to answer is the owner's business (`server_ops`). */
#pragma once

#include "base/list.h"
#include "gateway/entrance.h"
#include "gateway/options.h"
#include "http/exchange.h"
#include "run/wait.h"

struct server;
struct tls_server;

/* What a request is held to. Borrowed from a snapshot. */
struct server_rules {
    const struct http_options *http;
    struct h1_limits limits;
    const struct network_list *trusted;
};

struct server_ops {
    /* An exchange begins: pins what it will need and says the rules, which hold until `finish`. */
    const struct server_rules *(*begin)(struct server *server, struct exchange *x);

    /* Answers x->request: OK and the head in x->response, or why not. On the exchange's fiber. */
    enum status (*serve)(struct server *server, struct exchange *x);

    /* The exchange is over, answered or not: log, count, unpin. Not called when not one byte of a
     * request came. `begin` without `finish` is ended by `abandon`. */
    void (*finish)(struct server *server, struct exchange *x);
    void (*abandon)(struct server *server, struct exchange *x);

    /* How TLS is spoken from now on: borrowed until the caller waits. NULL: not at all. And: a
     * client's handshake has ended. Only called for entrances with TLS. */
    struct tls_server *(*tls)(struct server *server);
    void (*handshaken)(struct server *server, const struct entrance *entrance,
        struct stream *stream, enum status result);

    /* A connection did not begin as its entrance wants it, and was closed before its first
     * request. */
    void (*refused)(struct server *server, const struct entrance *entrance, struct stream *stream,
        enum status reason);

    /* A connection has ended. */
    void (*closed)(struct server *server);

    /* The rules in force now, for connections that wait. */
    const struct server_rules *(*rules)(struct server *server);

    const struct server_rules *fixed_rules; /* for the hooks below; else NULL */
};

/* Hooks for a server whose rules are `fixed_rules` and that keeps no account: `begin`, `rules`,
 * then `finish` and `abandon`, and `closed`. */
const struct server_rules *server_begin_fixed(struct server *server, struct exchange *x);
const struct server_rules *server_rules_fixed(struct server *server);
void server_forget(struct server *server, struct exchange *x);
void server_forget_closed(struct server *server);

/* For `trusted`: no proxy is believed. */
extern const struct network_list server_trusts_nobody;

struct server {
    const struct server_ops *ops;
    unsigned worker;         /* for x->worker */
    struct list connections; /* owned */
    uint32_t connection_count;
    uint32_t exchange_count; /* under way */
    uint64_t id_number;      /* of the newest exchange */
    bool is_draining;
    int64_t leaving_time; /* nanoseconds from the beginning of the drain: see server_drain */
    instant draining_since;
    int64_t date_second; /* what `date` shows, seconds since 1970 */
    char date[HTTP_DATE_SIZE];
    _Atomic uint64_t websockets, tunnels; /* open now; read by the control thread, as the next */
    _Atomic uint64_t h2_connections, h2_streams; /* of HTTP/2, open now */
    _Atomic uint64_t h2_floods[H2_FLOOD_COUNT];  /* connections ended by each; read likewise */
    _Atomic uint64_t refused; /* connections over the limit, ever; read by the control thread */
};

void server_init(struct server *server, const struct server_ops *ops, unsigned worker);

/* Takes over a connected descriptor. `entrance` is where it came in and must outlive the
 * connection. */
void server_accept(struct server *server, int descriptor, const struct address *peer,
    const struct entrance *entrance);

/* In the two ways to drain, what has no end by itself (tunnels, streams of events) is ended one
 * after the other over `spread` nanoseconds, or sooner if there is little of it, so that its
 * clients do not all come back at once. */

/* No more requests after those under way: idle connections close now, others after their answer
 * (which says so). Connections that have not sent their first request yet get until `grace`. */
void server_drain(struct server *server, instant grace, int64_t spread);

/* The listener of an entrance is gone: clients that speak HTTP/2 are asked to go elsewhere. */
void server_leave(struct server *server, const struct entrance *entrance);

/* The same for a server that nobody waits for, since another serves already: an idle connection
 * stays open, so that a request which is on its way to it is answered, and the answer says that it
 * is the last. */
void server_drain_patiently(struct server *server, int64_t spread);

/* Cuts what is left; the exchanges under way are cancelled. */
void server_cut(struct server *server);
