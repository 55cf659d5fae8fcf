/* One try at one endpoint, from the choice of it to the head of the answer, with what carries it. A
 * call makes one after the other, or two side by side; the one whose answer is taken lives on until
 * the end of the answer's body.
 *
 *     attempt_init(attempt, call);
 *     attempt_choose     an endpoint, where it is counted from then on
 *     attempt_run        a connection, the request, the head of the answer
 *     attempt_report     tells everyone who learns from it what became of it
 *     attempt_finish     gives all of that up, or back */
#pragma once

#include "http/h1.h"
#include "service/pool_h2.h"
#include "service/transport.h"

struct call;

/* The request on its way to the endpoint. */
struct upload {
    struct body_slice memory; /* PARCEL_MEMORY: what is sent */
    struct slice head;        /* of transport_h1: not sent yet; lies in `buffer` or the arena */
    struct buffer *buffer;    /* owned, or NULL */
    struct scope scope;       /* PARCEL_STREAM: the pump, and who reads the head meanwhile */
    struct fiber *waiter;     /* to be woken when something happens; NULL: nobody waits */
    struct fiber *holder;     /* the pump while it waits for "100 Continue" */
    bool has_scope;
    bool has_ended; /* everything was sent, or sending failed */
    bool is_cut;    /* the endpoint takes no more */
    instant ended;
    enum status
        failure; /* a reason to give up: reading the client's body failed, or sending timed out */
    bool head_is_here; /* who reads the head has ended, with `head_outcome` */
    enum status head_outcome;
};

struct attempt {
    struct call *call;
    struct endpoint *endpoint;         /* the chosen one */
    uint32_t index;                    /* its place in the call's view */
    const struct transport *transport; /* of this try */
    struct upstream *upstream;         /* of transport_h1: owned while it is in use */
    struct shared_upstream *shared;    /* of transport_h2, until the request has begun */
    struct h2_call *stream;            /* of transport_h2: in the arena; ended before the call */
    struct body *twin;                 /* of the request's body, to be sent instead; or NULL */
    bool is_second;                    /* another one is under way at the same time */
    bool is_counted;                   /* in the endpoint's requests in flight */
    bool is_connected;                 /* there was a connection */
    bool is_answered;                  /* something of an answer has come */
    bool is_on_old;                    /* the connection had carried requests before */
    instant began;
    instant deadline; /* for the head of its answer */
    struct http_response response;
    struct h1_framing framing; /* of the answer */
    struct upload upload;
};

extern const struct h1_limits upstream_limits;

/* Before all else; the memory is the caller's. */
void attempt_init(struct attempt *attempt, struct call *call);

/* Picks an endpoint that the call has not tried yet. NO_ENDPOINT and its kin, SERVICE_BUSY,
 * NO_MEMORY. */
enum status attempt_choose(struct attempt *attempt);

/* Asks the endpoint, on a connection that has carried nothing yet if `only_new`. OK: the head of
 * the answer is in attempt->response. The UPSTREAM_… statuses, what reading the client's body gave,
 * OVERLOADED, NO_MEMORY, CANCELLED. */
enum status attempt_run(struct attempt *attempt, bool only_new);

/* The status of its answer: of a call of gRPC, the one that says what `grpc-status` does. */
int attempt_status(const struct attempt *attempt);

/* Tells what became of it, once: after attempt_run, with what that returned; and when the body
 * broke off, with the reason and `is_late`. */
void attempt_report(const struct attempt *attempt, enum status e, bool is_late);

/* The same of one that nobody waits for any more, for another one was faster. */
void attempt_report_lost(const struct attempt *attempt);

/* The exchange's endpoint, for the log line, is this one's. NO_MEMORY. */
enum status attempt_name(const struct attempt *attempt);

/* Gives up what carries it, not the endpoint, which it may be begun at anew. */
void attempt_hang_up(struct attempt *attempt);

/* Ends it for another one to follow; `has_answer`: there is one, which is not wanted. */
void attempt_discard(struct attempt *attempt, bool has_answer);

/* Ends it: the connection goes back to its pool if it can go on, else it is closed.
 * Again is harmless. */
void attempt_finish(struct attempt *attempt, bool can_go_on);

/* The Host that the endpoint is to see. */
struct slice attempt_host(const struct attempt *attempt);

/* --- upload.c */

/* Sends the request by the attempt's transport and reads the head of the answer into
 * attempt->response, passing on interim ones. OK, or the UPSTREAM_… statuses, what reading the
 * client's body gave, CANCELLED. */
enum status upload_exchange(struct attempt *attempt);

/* Until when the body is sent: a stream may go on while the answer comes already. */
instant upload_deadline(const struct attempt *attempt);

/* Stops sending, and waits until that has stopped. */
void upload_stop(struct upload *upload);

/* There will be no other try: what was only looked at of the client's body, and sent from where it
 * lies, is read. NO_MEMORY. */
enum status upload_settle(struct attempt *attempt);

/* True when all was sent, so that the connection stands at the next request. */
bool upload_is_complete(const struct upload *upload);

/* True when the endpoint cannot have seen all of it. */
bool upload_left_nothing(const struct attempt *attempt);
