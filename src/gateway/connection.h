/* One client's HTTP/1.1 connection: the life of its exchanges from the first byte to the last. */
#pragma once

#include "gateway/server.h"
#include "run/timer.h"

struct connection {
    struct h1_connection h1;         /* owns the stream */
    struct server *server;           /* borrowed */
    const struct entrance *entrance; /* borrowed */
    struct list node;                /* in server->connections */
    struct timer timer;              /* while parked: how long that may last */
    struct fiber *fiber;             /* that serves it; NULL while parked */
    uint64_t requests;               /* served */
    bool is_broken;                  /* the client is gone; its exchange has been cancelled */
    bool writes_interim;             /* some fiber does, at this moment */
    bool is_torn; /* an interim answer has gone half: nothing more may be written */
};

/* Parks a fresh connection until its first byte. */
void connection_begin(struct connection *connection);

/* Ends a parked connection. */
void connection_close(struct connection *connection);

/* What the response's end looks like on the wire, and whether the connection can go on after it. */
struct h1_framing response_framing(const struct exchange *x, bool keep_alive);
