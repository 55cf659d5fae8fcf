/* One client's connection, from accept to close.
 *
 * It is parked until its first byte. Then a fiber runs its *opening* (gateway/opening.h: what comes
 * before requests, and which protocol they speak), and serves requests by that protocol
 * (gateway/h1_connection.h) until it is idle; then it is parked again, without fiber or
 * buffer. */
#pragma once

#include "gateway/serving.h"
#include "run/timer.h"

enum protocol {
    PROTOCOL_UNDECIDED, /* its opening has not ended yet */
    PROTOCOL_HTTP_1,
};

struct connection {
    struct carrier carrier;  /* first. Of HTTP/1.1's exchanges; `fiber` whatever is spoken */
    struct h1_connection h1; /* owns the stream, and what was read ahead of it */
    struct list node;        /* in server->connections */
    struct timer timer;      /* while parked: how long that may last */
    enum protocol protocol;
    uint64_t requests;   /* served */
    struct tunnel *tunnel; /* that an exchange of it has become; NULL: none has. In that's arena */
    bool writes_interim; /* some fiber does, at this moment */
    bool is_torn;        /* an interim answer has gone half: nothing more may be written */
};

/* Parks a fresh connection until its first byte. */
void connection_begin(struct connection *connection);

/* Ends a parked connection. */
void connection_close(struct connection *connection);
