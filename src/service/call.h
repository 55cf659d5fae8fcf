/* One call of a service: from the choice of an endpoint to the end of the answer's body. Lives in
 * the exchange's arena.
 *
 *     service_call        chooses, sends, reads the head, tries again where that is safe (call.c)
 *     upload              the request on its way, with its body in memory or streamed (upload.c)
 *     answer              the body of the answer, which ends the call (answer.c)
 *     transport           the protocol that carries it all (transport.h) */
#pragma once

#include "service/choice.h"
#include "service/mark.h"
#include "service/pool_h2.h"
#include "service/service_state.h"
#include "service/transport.h"

/* The body of the answer: reads what the transport brings, and gives that up at the end. */
struct answer {
    struct body body;
    struct body *inner; /* the transport's; NULL: there is none, or none any more */
    bool has_ended; /* the call was finished by reading; `outcome` is what reading says from then on
                     */
    enum status outcome;
    struct h1_body h1; /* last: of transport_h1, begun when there is a body */
};

/* The request on its way to the endpoint. */
struct upload {
    enum upload_kind {
        UPLOAD_EMPTY,  /* there is no body */
        UPLOAD_MEMORY, /* all of it is here: sent at once with the head */
        UPLOAD_STREAM  /* pumped by a fiber of its own while the answer may come already */
    } kind;
    struct h1_framing framing;
    struct body_slice memory; /* UPLOAD_MEMORY: what is sent */
    struct slice head;        /* of transport_h1: not sent yet; lies in `buffer` or the arena */
    struct buffer *buffer;    /* owned, or NULL */
    struct scope scope;       /* UPLOAD_STREAM: the pump, and who reads the head meanwhile */
    struct fiber *waiter;     /* to be woken when something happens; NULL: nobody waits */
    struct fiber *holder;     /* the pump while it waits for "100 Continue" */
    bool has_scope;
    bool awaits_continue; /* the body is held back until the endpoint (or a time) asks for it */
    bool has_begun;       /* the client's body has been read from */
    bool has_ended;       /* everything was sent, or sending failed */
    bool is_cut;          /* the endpoint takes no more */
    instant ended;
    enum status
        failure; /* a reason to give up: reading the client's body failed, or sending timed out */
    bool head_is_here; /* who reads the head has ended, with `head_outcome` */
    enum status head_outcome;
};

struct call {
    const struct service *service;
    struct exchange *x;
    struct view *view;                 /* in use until the call is finished */
    struct endpoint *endpoint;         /* the chosen one */
    uint32_t index;                    /* its place in the view */
    const struct transport *transport; /* of this try */
    struct upstream *upstream;         /* of transport_h1: owned while it is in use */
    struct shared_upstream *shared;    /* of transport_h2, until the request has begun */
    struct h2_call *stream;            /* of transport_h2: in the arena; ended before the call */
    bool is_on_old;                    /* the connection had carried requests before */
    instant began;                     /* this try */
    struct choice choice;
    bool is_counted; /* in the endpoint's requests in flight */
    struct http_response response;
    struct h1_framing framing; /* of the answer */
    struct upload upload;
    struct answer answer; /* last */
};

extern const struct h1_limits upstream_limits;

/* Ends a call: the connection goes back to its pool if it can go on, else it is closed; what the
 * call used is released. Again is harmless. */
void call_finish(struct call *call, bool can_go_on);

/* The Host that the endpoint is to see. */
struct slice call_host(const struct call *call);

/* The longest silence within a body, nanoseconds; 0: any, as a stream of messages may have. */
int64_t call_idle(const struct call *call);

/* How long the head of the answer may take once the request is sent; 0: as long as the exchange
 * may. */
int64_t call_patience(const struct call *call);

/* --- upload.c */

/* How the request's body will be sent. Once a call. */
void upload_plan(struct call *call);

/* Sends the request by the call's transport and reads the head of the answer into call->response,
 * passing on interim ones. OK, or the UPSTREAM_… statuses, what reading the client's body gave,
 * CANCELLED. */
enum status upload_exchange(struct call *call);

/* What a failure to read the client's body is called. */
enum status upload_status_of_source(enum status e);

/* Stops sending, and waits until that has stopped. */
void upload_stop(struct upload *upload);

/* True when all was sent, so that the connection stands at the next request. */
bool upload_is_complete(const struct upload *upload);

/* True when the request can be sent once more from its beginning; makes it ready for that. */
bool upload_rewind(struct call *call);

/* True when the endpoint cannot have seen all of it. */
bool upload_left_nothing(const struct upload *upload);

/* --- websocket_call.c */

/* The endpoint has answered 101: checks that, and makes what the call holds a tunnel in x->tunnel;
 * `ret_body` is the answer's, of which nothing will come. UPSTREAM_UPGRADE, NO_MEMORY. */
enum status websocket_call_begin(struct call *call, struct body *ret_body);

/* --- answer.c */

/* Puts the answer's head and body into the exchange. */
enum status answer_begin(struct call *call);
