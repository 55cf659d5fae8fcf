/* One call of a service: from the choice of an endpoint to the end of the answer's body. Lives in
 * the exchange's arena.
 *
 *     call_run            tries, and tries again where that is safe (call.c)
 *     hedge_ask           the same request at two endpoints at a time (hedge.h)
 *     attempt             one try at one endpoint (attempt.c)
 *     parcel              the request's body, as every attempt sends it (parcel.c)
 *     upload              the request on its way there (upload.c)
 *     answer              the body of the answer, which ends the call (answer.c)
 *     transport           the protocol that carries it all (transport.h) */
#pragma once

#include "service/attempt.h"
#include "service/choice.h"
#include "service/mark.h"
#include "service/retry.h"
#include "service/seat.h"

/* The body of the answer: reads what the transport brings, and gives that up at the end. */
struct answer {
    struct body body;
    struct body *inner; /* the transport's; NULL: there is none, or none any more */
    bool has_ended; /* the call was finished by reading; `outcome` is what reading says from then on
                     */
    enum status outcome;
    struct h1_body h1; /* last: of transport_h1, begun when there is a body */
};

/* The request's body, as every attempt is to send it. */
struct parcel {
    enum parcel_kind {
        PARCEL_EMPTY,  /* there is no body */
        PARCEL_MEMORY, /* all of it is here: sent at once with the head */
        PARCEL_STREAM  /* pumped by a fiber of its own while the answer may come already */
    } kind;
    struct h1_framing framing;
    struct slice bytes;     /* PARCEL_MEMORY */
    struct body *stream;    /* PARCEL_STREAM: the client's, or what keeps that */
    struct kept_body *kept; /* the latter, or NULL */
    bool awaits_continue;   /* it is held back until the endpoint (or a time) asks for it */
    bool has_begun;         /* the client's body has been read from */
};

struct call {
    const struct service *service;
    struct exchange *x;
    instant began;
    struct seat seat;
    struct view *view; /* in use until the call is finished */
    struct choice choice;
    struct parcel parcel;
    struct retry retry;
    const struct hedge_rule *hedge; /* NULL: one endpoint at a time is asked */
    uint32_t repeats;               /* on connections that were tired */
    struct attempt *attempt;        /* the newest; in the end the one whose answer it is */
    struct attempt first;
    struct answer answer; /* last */
};

/* As service_call, of a service that is asked itself (release.h: of which versions are not). */
enum status call_run(const struct service *service, struct exchange *x);

/* Ends a call: what the attempt used is given up, or back if it can go on; what the call used is
 * released. Again is harmless. */
void call_finish(struct call *call, bool can_go_on);

/* One try at the endpoint that the attempt has chosen, on a connection that was not tired: what
 * attempt_run says. */
enum status call_ask(struct attempt *attempt);

/* The longest silence within a body, nanoseconds; 0: any, as a stream of messages may have. */
int64_t call_idle(const struct call *call);

/* How long the head of the answer may take once the request is sent; 0: as long as the exchange
 * may. */
int64_t call_patience(const struct call *call);

/* --- parcel.c */

/* How the request's body will be sent. Once a call. */
void parcel_plan(struct call *call);

/* True when the attempt can send the request once more from its beginning; makes it ready for that.
 */
bool parcel_rewind(struct attempt *attempt);

/* Of PARCEL_STREAM: what the attempt sends. */
struct body *parcel_stream(const struct attempt *attempt);

/* True when all of the request is here, of which the first attempt has sent all that is a stream:
 * another may send it while that still waits for its answer. */
bool parcel_is_whole(const struct attempt *first);

/* Gives another attempt the whole request, to be sent beside the first. NO_MEMORY. */
enum status parcel_share(struct attempt *second);

/* The same, for whoever is called after this call: what was kept of the body is the exchange's from
 * then on. */
bool parcel_hand_on(struct call *call);

/* --- websocket_call.c */

/* The endpoint has answered 101: checks that, and makes what the call holds a tunnel in x->tunnel;
 * `ret_body` is the answer's, of which nothing will come. UPSTREAM_UPGRADE, NO_MEMORY. */
enum status websocket_call_begin(struct call *call, struct body *ret_body);

/* --- answer.c */

/* Puts the answer's head and body into the exchange. */
enum status answer_begin(struct call *call);
