/* TCP connections that go to a service as they are.
 *
 * A `struct tcp_server` lives on one worker and owns the connections that it was given. Each begins
 * with a fiber, which reads what has to come first (a PROXY header, the beginning of TLS), finds
 * the service, and connects; then it is a relay (l4/relay.h) until both sides have ended, and has
 * fibers only while something moves. What a connection is held to are the rules that it began with,
 * whatever is reloaded meanwhile. */
#pragma once

#include "base/list.h"
#include "l4/facts.h"
#include "l4/rules.h"
#include "run/socket.h"

struct tcp_server;

struct tcp_ops {
    /* A connection is over: log it. Then: let go of what kept its rules alive. */
    void (*finish)(struct tcp_server *server, const struct l4_facts *facts);
    void (*let_go)(struct tcp_server *server, void *pinned);

    /* A descriptor that was given to tcp_accept is closed. */
    void (*closed)(struct tcp_server *server);
};

struct tcp_server {
    const struct tcp_ops *ops;
    unsigned worker;
    struct metrics *metrics;     /* borrowed */
    struct metrics_shard *shard; /* borrowed */
    struct list sessions;        /* owned */
    struct list gates;           /* owned: how many connections each listener has */
    uint32_t session_count;
    bool is_draining;
    bool is_cut;              /* nothing more is to be waited for */
    _Atomic uint64_t refused; /* connections over the limit, ever; read by the control thread */
};

void tcp_server_init(struct tcp_server *server, const struct tcp_ops *ops, unsigned worker,
    struct metrics *metrics, struct metrics_shard *shard);

/* When no connection is left. */
void tcp_server_release(struct tcp_server *server);

/* Takes over a connected descriptor. `pinned` keeps the rules alive until `let_go` gets it; false
 * when there is no connection after all: then the caller lets go of it (`closed` was called). */
bool tcp_accept(struct tcp_server *server, int descriptor, const struct address *peer,
    const struct tcp_rules *rules, void *pinned);

/* Only says what a cut means from now on: connections cannot be asked to end. */
void tcp_server_drain(struct tcp_server *server);

/* Cuts what is left. */
void tcp_server_cut(struct tcp_server *server);
