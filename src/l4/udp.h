/* Datagrams that go to a service as they are, and the answers back.
 *
 * What a client sends from one address to one of ours is a *session*: it has an endpoint and a
 * socket of its own, so that answers find their way. It ends by silence, or when it has all its
 * replies, or when another needs its place. With QUIC a datagram from a new address is of a session
 * that its connection id names.
 *
 * A `struct udp_server` lives on one worker. A listener is served by one worker alone, since its
 * sessions are nobody else's: `struct udp_gate`. There are no fibers here but the one that sends
 * answers: they are gathered while the loop's round lasts and go out together. */
#pragma once

#include "base/list.h"
#include "l4/datagrams.h"
#include "l4/facts.h"
#include "l4/rules.h"
#include "run/fiber.h"

struct udp_server;
struct udp_gate;

struct udp_ops {
    /* A session begins: keeps alive what its rules are part of, until `let_go`. */
    void (*hold)(struct udp_server *server, void *pinned);

    /* It is over: log it. Then: let go. */
    void (*finish)(struct udp_server *server, const struct l4_facts *facts);
    void (*let_go)(struct udp_server *server, void *pinned);
};

struct udp_server {
    const struct udp_ops *ops;
    unsigned worker;
    struct metrics *metrics;     /* borrowed */
    struct metrics_shard *shard; /* borrowed */
    struct datagrams *in, *out;  /* owned; made for the first gate */
    struct udp_gate *out_gate;   /* whose answers wait in `out` */
    struct fiber *sender;        /* sends what is in `out`, once it runs */
    bool has_sender;
};

void udp_server_init(struct udp_server *server, const struct udp_ops *ops, unsigned worker,
    struct metrics *metrics, struct metrics_shard *shard);

/* When all gates are shut and its loop has ended. */
void udp_server_release(struct udp_server *server);

/* Serves a bound descriptor, which stays the caller's. `pinned` is what keeps the rules alive; the
 * caller holds it as long as they are the gate's. NO_MEMORY, IO_ERROR. */
enum status udp_open(struct udp_server *server, int descriptor, const struct udp_rules *rules,
    void *pinned, struct udp_gate **ret_gate);

/* Other rules for sessions that begin from now on. */
void udp_use(struct udp_gate *gate, const struct udp_rules *rules, void *pinned);

/* Ends all sessions. */
void udp_shut(struct udp_gate *gate);
