/* Calling a service that speaks anything but HTTP: a connection of the caller's own to one of its
 * endpoints, or, for datagrams, only the choice of one.
 *
 *     dial_begin(&dial, service, worker, &caller);
 *     e = dial_connect(&dial, deadline, &stream);
 *     ... as long as it takes; dial_good or dial_failed says how the endpoint did ...
 *     stream_close(stream);
 *     dial_end(&dial);                      last: a stream of TLS may still need the endpoint
 *
 * Balancing, health, ejections, in-flight counts, bounds, the queue and breakers are those of
 * calls. An endpoint that does not let us connect is left for another: nothing has been sent yet.
 */
#pragma once

#include "run/stream.h"
#include "service/choice.h"
#include "service/mark.h"
#include "service/seat.h"

#define DIAL_TRIES_MAX \
    CHOICE_TRIES_MAX /* endpoints that are asked in turn while none lets us connect */

/* For whom. */
struct dial_caller {
    const struct address *client;
    struct slice listener;
    struct slice first; /* to be sent before all else, TLS included; until connected */
};

struct dial {
    const struct service *service;
    unsigned worker;
    uint32_t tries;            /* endpoints that were asked */
    struct view *view;         /* in use until the end: keeps the endpoint and its texts */
    struct endpoint *endpoint; /* the chosen one, or NULL */
    struct slice text;         /* of the newest that was chosen; as long as the view */
    uint32_t index;            /* its place in the view */
    struct choice choice;      /* what is known of who is wanted, and who failed */
    struct slice first;        /* what the caller wants to be sent */
    struct seat seat;          /* among what is under way at the service */
    bool connects;             /* it is for a connection, of which there may be so many */
    bool is_open;              /* counted among the endpoint's connections */
};

/* Who is to be dialled for a service: one of its versions, if it has some, else itself. On the
 * worker's thread, as everything here. */
const struct service *dial_service(const struct service *service, unsigned worker);

/* The service has no versions. */
void dial_begin(struct dial *dial, const struct service *service, unsigned worker,
    const struct dial_caller *caller);

/* Chooses an endpoint that has not been tried yet, and counts it as in flight. SERVICE_BUSY and its
 * kin (choice.h), NO_ENDPOINT, or why its name has no address. */
enum status dial_choose(struct dial *dial);

/* Chooses and connects, elsewhere when that fails; waits in the service's queue while all are busy.
 * On a fiber. The UPSTREAM_… statuses of connecting, NO_ENDPOINT, QUEUE_FULL, QUEUE_TIMEOUT,
 * SERVICE_BUSY, BREAKER_OPEN, OVERLOADED, NO_MEMORY, CANCELLED. */
enum status dial_connect(struct dial *dial, instant deadline, struct stream **ret_stream);

/* Who is to be dialled instead, once this has failed with `e`; NULL: nobody. End this one first. */
const struct service *dial_instead(const struct dial *dial, enum status e);

/* The endpoint has done well; or it has failed, for a reason. */
void dial_good(struct dial *dial);
void dial_failed(struct dial *dial, enum status reason);

/* Lets go of the chosen endpoint, which is not chosen again. */
void dial_leave(struct dial *dial);

/* Again is harmless. */
void dial_end(struct dial *dial);

/* The newest endpoint's address as people write it, as long as the dial has not ended; empty: none
 * was chosen. */
static inline struct slice dial_endpoint(const struct dial *dial)
{
    return dial->text;
}
