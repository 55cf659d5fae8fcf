/* Serving: what belongs to an exchange whatever protocol carries it: how it begins and ends, who
 * answers it, for which reason it failed, what every answer says, and that it is given up when its
 * client is gone.
 *
 *     const struct server_rules *rules = serving_begin(carrier, &x, stream, &hooks);
 *     ...                                    the protocol reads the request's head
 *     serving_answer(&x, rules);             or serving_refuse(&x, why)
 *     serving_finish_fields(&x, rules);
 *     ...                                    the protocol sends the answer
 *     serving_end(&x, false);
 *
 * x->connection is the carrier. */
#pragma once

#include "gateway/server.h"
#include "run/stream.h"

/* Who carries an exchange to and fro: a connection of HTTP/1.1, or a stream of HTTP/2. A part of
 * either. */
struct carrier {
    struct server *server;           /* borrowed */
    const struct entrance *entrance; /* borrowed */
    struct fiber *fiber;             /* that serves it; NULL while parked */
    struct tunnel *tunnel;           /* that its exchange has become; NULL: it has not */
    bool is_torn;                    /* which did not end in peace */
    void (*tunnel_ended)(struct carrier *carrier); /* NULL: its fiber waits for that */
    struct fiber *dozer; /* waits, and a drain may end that; NULL: nobody does */
    instant leaves;      /* when a drain ends what has no end; 0: not known yet */
    bool is_broken;      /* the client is gone; its exchange has been cancelled */
};

/* Begins an exchange, whose arena stands and what lies before its `peer` is cleared. The rules hold
 * until its end. */
const struct server_rules *serving_begin(struct carrier *carrier, struct exchange *x,
    struct stream *stream, const struct exchange_hooks *hooks);

/* Answers a request that was read: afterwards the head of an answer is there, be it a failure's. */
void serving_answer(struct exchange *x, const struct server_rules *rules);

/* The gateway's own answer, for a status with which a function has failed. */
void serving_refuse(struct exchange *x, enum status e);

/* The reason, fit for an answer and the log, for which functions fail with that status. */
enum status serving_reason(const struct exchange *x, enum status e);

/* The fields that every answer has. */
void serving_finish_fields(struct exchange *x, const struct server_rules *rules);

/* Sending the answer has ended with `e`; `is_source`: its body was at fault, not the client. */
void serving_sent(struct exchange *x, enum status e, bool is_source);

/* True when what was answered makes a tunnel of the exchange once its head is sent. */
static inline bool serving_is_tunnel(const struct exchange *x)
{
    bool is_connected = x->request.method == METHOD_CONNECT && x->response.status == 200;
    return x->tunnel && (x->response.status == 101 || is_connected);
}

/* What the client says and hears is the tunnel's from now on, until that has ended: waits for it.
 */
void serving_run_tunnel(struct exchange *x, struct wire *client);

/* The same for a carrier that has nothing else to do: nobody waits, the exchange and its fiber may
 * go, and `ended` is called at the end, after the exchange's log line. The caller leaves both alone
 * from then on, and the exchange is not to be ended. False: there was no memory for it. */
bool serving_leave_to_tunnel(
    struct exchange *x, struct wire *client, void (*ended)(struct carrier *carrier));

/* The server drains: what has no end by itself is told when it ends. Again is harmless. */
void serving_drain(struct carrier *carrier);

/* For hooks: see struct exchange_hooks. */
instant serving_leaves(const struct exchange *x);
void serving_doze(struct exchange *x, bool begins);

/* Ends it: what was to happen then, the log line, and all that it holds. `is_silent`: no request
 * came. */
void serving_end(struct exchange *x, bool is_silent);

/* The carrier's client is gone, and nobody will read the answer: gives up the work for it. */
void serving_break(struct carrier *carrier);

/* Somebody wants the body of a client that waits to be asked for it (`argument` is the exchange):
 * for bodies' before_wait. */
void serving_ask_for_body(void *argument);
