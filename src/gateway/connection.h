/* One client's connection, from accept to close.
 *
 * It is parked until its first byte. Then a fiber runs its *opening* (gateway/opening.h: what comes
 * before requests, and which protocol they speak), and serves requests by that protocol
 * (gateway/h1_connection.h, gateway/h2_connection.h) until it is idle; then it is parked again,
 * without fiber or buffer. */
#pragma once

#include "gateway/serving.h"
#include "run/timer.h"

enum protocol {
    PROTOCOL_UNDECIDED, /* its opening has not ended yet */
    PROTOCOL_HTTP_1,
    PROTOCOL_HTTP_2,
};

struct h2_session;

/* What becomes of a connection whose fiber has nothing more to do. */
enum served {
    SERVED_ALL,    /* it is idle and may be parked */
    SERVED_LAST,   /* it is at its end */
    SERVED_TUNNEL, /* it is a tunnel's, which ends it: it may be gone already */
};

struct connection {
    struct carrier carrier; /* first. Of HTTP/1.1's exchanges; `fiber` whatever is spoken */
    struct wire wire;       /* owns the stream, and what was read ahead of it */
    struct list node;       /* in server->connections */
    struct timer timer;     /* while parked: how long that may last */
    instant idle_until;     /* unless there is another request by then; whatever else comes */
    enum protocol protocol;
    struct h2_session *h2; /* owned; NULL: not HTTP/2 */
    uint64_t requests;     /* served */
    bool is_awake; /* it has a fiber, which may not have run yet, or is a tunnel; else it is parked
                    */
    bool is_cut;   /* nothing more is to be waited for */
    bool is_unwanted;      /* its client is to go elsewhere (HTTP/2) */
    bool is_idle_too_long; /* the same, and nothing is under way (HTTP/2) */
    bool writes_interim;   /* some fiber does, at this moment */
    bool is_torn;          /* an interim answer has gone half: nothing more may be written */
    bool is_short;         /* an answer that ends with its connection did not come to its end */
};

/* Parks a fresh connection until its first byte. */
void connection_begin(struct connection *connection);

/* A request has ended, or it may send its first: from now on it is idle. */
void connection_rest(struct connection *connection);

/* Ends a connection at once: what is under way is cancelled. */
void connection_cut(struct connection *connection);

/* The tunnel that it had become has ended. */
void connection_tunnel_ended(struct carrier *carrier);

/* Its client is to go elsewhere, since the server stops or the listener is gone; one that waits for
 * its first request may wait until `grace`. */
void connection_drain(struct connection *connection, instant grace);

/* Ends sending, then reads a while what the client goes on sending: closing at once would reset the
 * connection and might take what was sent last with it (RFC 9112 §9.6). `is_short`: not for long,
 * and not for much. */
void connection_linger(struct connection *connection, bool is_short);
