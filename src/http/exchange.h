/* The exchange: one request and its answer, from the first byte to the log line; and the handler,
 * the one shape of everything that answers.
 *
 *     answer = cors( limit( cache( forward )))
 *
 * `serve(state, x)` returns OK with the head of the answer in x->response and its body not yet
 * read; or a failure, which the outermost caller turns into the gateway's own answer (problem+json,
 * Proxy-Status, the status word as reason). A policy is a handler that holds the next one. All of
 * it runs on the exchange's fiber, top to bottom.
 *
 * Memory: everything that belongs to the exchange is in x->arena, gone at its end. Fibers that it
 * starts live in x->scope, and have ended before the exchange does. */
#pragma once

#include "http/grpc.h"
#include "http/message.h"
#include "run/address.h"
#include "run/scope.h"
#include "run/tls.h"

struct exchange;
struct entrance;
struct wire;
struct websocket_limits;
struct json_watch;
struct retry_rule;
struct hedge_rule;
struct json_value;

struct handler {
    enum status (*serve)(const void *state, struct exchange *x);
    const void *state; /* borrowed from the snapshot */
};

static inline enum status handler_serve(const struct handler *handler, struct exchange *x)
{
    return handler->serve(handler->state, x);
}

/* A `{name}` of the route's path, decoded. */
struct path_parameter {
    struct slice name; /* borrowed from the snapshot */
    struct slice value;
};
#define PATH_PARAMETERS_MAX 16

/* What became of a second request that was sent since the first took long (service/hedge.h). */
enum hedge_outcome { HEDGE_NONE, HEDGE_LOST, HEDGE_WON };

/* Whether what becomes of a request is told to who compares versions of a service. */
enum evidence { EVIDENCE_NONE, EVIDENCE_WANTED, EVIDENCE_GIVEN };

/* What the log line and the metrics will say; filled by whoever knows it. Slices are borrowed from
 * the snapshot or the arena. */
struct exchange_facts {
    struct slice listener, route, service, endpoint;
    struct slice trouble;     /* what else is known about `reason`, for the log */
    struct slice grpc_status; /* of a call whose answer says it in its body; else empty */
    enum status reason;       /* why the gateway answered by itself; OK when a handler answered */
    instant started, first_byte_sent, ended;
    int64_t upstream_time; /* nanoseconds until the service's head was there, all tries; 0: none */
    uint64_t received, sent; /* body bytes from and to the client */
    uint32_t tries;          /* how often a service was asked */
    enum hedge_outcome hedge;
    uint16_t close_code;                       /* of a WebSocket; 0: it was none */
    uint64_t messages_received, messages_sent; /* of a WebSocket, from and to the client */
    uint32_t route_id,
        service_id; /* numbers for the metrics' tables, stable while the process lives */
};

/* What an exchange becomes after an answer of 101 (RFC 9110 §7.8), or of 200 to CONNECT (§9.3.6):
 * made by who answers so, begun by the protocol that carries the exchange once the head of the
 * answer is sent. It needs no fiber of the exchange's. */
struct tunnel {
    const struct tunnel_ops *ops;
    struct exchange *x; /* whose facts it notes at its end; the next is told of it */
    void (*ended)(
        struct exchange *x); /* the tunnel is gone; from a fiber. Both set by who begins */
};

struct tunnel_ops {
    /* `client` is the client's side, a connection or what looks like one, and so is what has been
     * read of it ahead; the tunnel uses it until its end. */
    void (*begin)(struct tunnel *tunnel, struct wire *client);

    /* It shall end at that time, if it can tell its ends why; before it has begun, or later. */
    void (*drain)(struct tunnel *tunnel, instant when);

    /* It shall end now. */
    void (*cut)(struct tunnel *tunnel);

    /* Instead of `begin`: nobody wants it. */
    void (*drop)(struct tunnel *tunnel);
};

/* What TLS is to have said, in a rehearsal: nobody has shaken hands there. */
struct supposed_tls {
    struct tls_facts facts;
    struct tls_certificate certificate;
};

struct exchange_hooks {
    /* Sends an interim answer (100, 103) to the client at once. */
    enum status (*send_interim)(struct exchange *x, const struct http_response *interim);

    /* True when the gateway stops, so that what has no end should find one. Or NULL. */
    bool (*is_draining)(const struct exchange *x);

    /* When that end is to be: NEVER as long as the gateway does not stop. Between doze(x, true) and
     * doze(x, false) the running fiber's wait ends with TIMEOUT when this changes. Both or neither.
     */
    instant (*leaves)(const struct exchange *x);
    void (*doze)(struct exchange *x, bool begins);

    /* The stream under the exchange, which is the connection's; NULL when others share it. */
    struct stream *(*stream)(struct exchange *x);
};

/* What is to happen at the end of an exchange, whatever that end is: it was answered, its client
 * has gone, its stream was reset, its tunnel has ended, nothing could be sent. A part of what it
 * works on, in memory that is not the exchange's arena: an exchange that has become a tunnel has
 * given that up long before (exchange_settle). */
struct exchange_end {
    struct exchange_end *next; /* owned by the exchange's list */

    /* On the exchange's worker, on a fiber, which does not wait; the configuration is still there,
     * memory of the exchange's and its fibers are not to be relied on. The end is out of the list,
     * so that its memory may go. */
    void (*run)(struct exchange_end *end, struct exchange *x);
};

struct exchange {
    struct arena arena; /* owned */
    struct scope scope; /* owned: fibers of this exchange */
    struct http_request request;
    struct http_response response;
    instant deadline;            /* for the whole of it; NEVER when there is none */
    enum status deadline_reason; /* what it is called when that has passed; OK: UPSTREAM_TIMEOUT */
    bool tells_deadline;         /* services are told of it (deadline_forward) */
    bool is_peer_trusted;        /* the peer's Forwarded, X-Request-Id … may be believed */
    bool is_secure;              /* TLS on the client's side */
    bool expects_continue;       /* the client waits for 100 before it sends the body */
    enum evidence evidence;      /* of how a version does: one result of a request is (trial.h) */
    bool is_copy;                /* of another, for a mirror: asked once, answered to nobody */
    bool is_rehearsal;           /* weir test and weir explain: services are named, not called */
    enum grpc_kind grpc;         /* it is a call of gRPC */
    enum grpc_status
        grpc_reset;    /* of a call: what the service's reset says; GRPC_OK: there was none */
    bool is_lasting;   /* the answer's body may be silent for as long as it likes */
    int64_t patience;  /* nanoseconds that a service has for the answer's head; 0: what it says */
    int8_t importance; /* 3: before all others, -4: behind; 0: as usual */
    const struct retry_rule
        *retry; /* of the route; borrowed from the snapshot; NULL: the service's */
    const struct hedge_rule *hedge; /* the same */
    const struct handler *instead;  /* what answers, not the route's handler; borrowed from the
                                     * snapshot; NULL: the handler does */
    bool is_spent;    /* the service that has failed may have done it, or its body is gone: it is no
                         other one's */
    bool may_be_done; /* a service was sent the request: it may have done it, whatever came back */
    bool must_close;  /* close the client's connection after this answer */
    bool breaks_off;  /* instead of the answer the client sees its connection or stream reset */
    bool is_torn;     /* its tunnel did not end in peace: the client hears of it by a reset */
    bool has_lent_token; /* Authorization is of a user's session: for the service that answers, and
                          * not for who gets copies */
    bool is_websocket;   /* the request asks to go on as a WebSocket, rightly */
    const struct json_value *claims; /* what the client's token says, verified; an object, as long
                                      * as the exchange; NULL: nothing is known */
    struct slice claims_source; /* the `auth` that found them, as "auth.shop": the same "sub" of two
                                 * is not the same client; borrowed from the snapshot */
    const struct json_watch *request_json,
        *response_json;     /* what was read along of the bodies by
                             * who asks now (config/expression_bodies.h); NULL: nothing */
    struct slice challenge; /* what WWW-Authenticate asks of who has shown nothing; borrowed from
                             * the snapshot; empty: there is no way to say who one is */
    const struct websocket_limits *websocket; /* borrowed from the snapshot; NULL: the usual */
    struct tunnel *tunnel; /* with an answer of 101, or of 200 to CONNECT: what follows; owned until
                            * begun; or NULL */
    struct exchange_end *ends; /* newest first; NULL: none */
    struct stream *tls;        /* the connection, to be asked for facts (run/tls.h); NULL: no TLS */
    const struct supposed_tls *supposed; /* of a rehearsal, instead of that; borrowed, or NULL */
    const struct stream *door; /* the connection, to be asked for addresses; NULL: there is none */
    unsigned worker;           /* which worker this is, from 0: an index into per-worker state */
    uint64_t id_number; /* of this exchange, unique in the process: what differs between two */
    struct slice request_id;
    unsigned parameter_count;
    struct exchange_facts facts;
    struct body_slice answer; /* the body of what the exchange answers by itself */
    void *pinned; /* what keeps the configuration alive meanwhile: the server's owner's */
    const struct entrance *entrance;    /* where it came in (gateway/entrance.h); NULL: nowhere */
    const struct exchange_hooks *hooks; /* borrowed from the connection */
    void *connection;                   /* the hooks' own */

    /* What comes before is cleared at the beginning; this is large and mostly unused. */
    struct address peer;   /* the connection's other end */
    struct address client; /* whom it was forwarded for, if trusted; else the peer */
    struct path_parameter parameters[PATH_PARAMETERS_MAX];
};

/* It is to end by then, if it is not to end before, for that reason. */
static inline void exchange_limit(struct exchange *x, instant deadline, enum status reason)
{
    if (deadline >= x->deadline)
        return;
    x->deadline = deadline;
    x->deadline_reason = reason;
}

/* Why it has run out of time. */
static inline enum status exchange_lateness(const struct exchange *x)
{
    return x->deadline_reason ? x->deadline_reason : UPSTREAM_TIMEOUT;
}

/* Runs at the end, before what was added earlier. Not for a rehearsal, which has none. */
static inline void exchange_add_end(struct exchange *x, struct exchange_end *end)
{
    end->next = x->ends;
    x->ends = end;
}

/* It has ended: for who began it. */
static inline void exchange_run_ends(struct exchange *x)
{
    while (x->ends) {
        struct exchange_end *end = x->ends;
        x->ends = end->next;
        end->run(end, x);
    }
}

/* Makes an exchange of the gateway's own, which speaks with a service on behalf of `from`: with
 * an arena, a scope and empty messages, and what is known of the client, the listener and the
 * route. `x` is cleared; it has no deadline, and may outlive `from`, but not what pins the
 * configuration. */
void exchange_init_for(struct exchange *x, const struct exchange *from);

/* Ends such an exchange: drops the answer's body, waits for the fibers, runs what is to happen at
 * its end, and releases the arena. */
void exchange_release(struct exchange *x);

/* Answers with a status, a body in memory (which must outlive the exchange or lie in its arena) and
 * its type (empty: none). Drops the body of an earlier answer and clears its fields. NO_MEMORY. */
enum status exchange_respond(
    struct exchange *x, int status, struct slice content_type, struct slice body);

/* The gateway's own answer for a failure: problem+json (RFC 9457) with type, title, status, detail,
 * reason and request id; Proxy-Status (RFC 9209). Sets facts.reason. Never fails: without memory it
 * is a fixed text. Fields that a policy has put into x->response.fields before (Retry-After, Allow
 * …) stay; but when an answer was there already (response.status is not 0), it is given up with all
 * its fields. An empty `detail` becomes the status' sentence. */
void exchange_respond_problem(struct exchange *x, enum status reason, struct slice detail);

/* A copy of an exchange that has been answered, for who lives on without its fiber, as a tunnel
 * does: what the log line, the metrics and the tunnel ask for, in as little memory as that takes.
 * It has no fields but those that are logged, no bodies, parameters or tunnel, and may outlive the
 * exchange's arena. What is to happen at the end happens at the copy's. NULL: no memory. To be
 * freed with free, after its arena was released. */
struct exchange *exchange_settle(const struct exchange *x);
