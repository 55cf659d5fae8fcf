/* Choosing an endpoint for a request: what the request says (its hash key, the subset that it
 * wants, the session that it belongs to), and what failed it already. For calls and dials.
 *
 *     struct choice choice = {0};
 *     choice_begin(&choice, service, x);
 *     place = choice_pick(&choice, service, view);   PICK_NONE: nobody is left
 *     choice_exclude(&choice, place);                it failed: pick another one
 *     choice_keep(&choice, service, x);              an answer is here: the session stays there */
#pragma once

#include "service/service_state.h"

#define CHOICE_TRIES_MAX 3 /* endpoints that a connection of layer 4 may come to */
#define CHOICE_TRIED_MAX 8 /* that are known to have failed one request */

struct choice {
    uint64_t hash;       /* of the balancer's key; 0: none */
    uint64_t subset;     /* of the value of the label; 0: any */
    uint64_t session;    /* key in the table of sessions; 0: none */
    uint64_t wanted;     /* id of the endpoint that the session is at; 0: none is known */
    uint64_t id;         /* of the endpoint that was picked last */
    struct slice cookie; /* ours, as the request has brought it */
    bool is_moved;       /* the session was at another endpoint */
    uint32_t tried_count, gone_count; /* the first of `tried` are not asked again in any case */
    uint32_t tried[CHOICE_TRIED_MAX];
};

/* Asks the request. Costs nothing when the service asks for nothing. */
void choice_begin_with(struct choice *choice, const struct service *service, struct exchange *x);
static inline void choice_begin(
    struct choice *choice, const struct service *service, struct exchange *x)
{
    if (service->is_choosy)
        choice_begin_with(choice, service, x);
}

/* An endpoint's place in the view, or PICK_NONE. On a worker. */
uint32_t choice_pick(struct choice *choice, const struct service *service, struct view *view);

/* The same of one that `may` be asked: that says OK, or why not, and then others are. In
 * `ret_place`; or why none may: what `may` said, SERVICE_BUSY, ALL_OVERLOADED, BREAKER_OPEN,
 * NO_ENDPOINT, or why its names have no addresses. */
enum status choice_claim(struct choice *choice, const struct service *service, struct view *view,
    enum status (*may)(void *argument, struct endpoint *endpoint), void *argument,
    uint32_t *ret_place);

static inline void choice_exclude(struct choice *choice, uint32_t place)
{
    if (choice->tried_count < CHOICE_TRIED_MAX)
        choice->tried[choice->tried_count++] = place;
}

/* The same, and choice_forgive does not change it. */
static inline void choice_exclude_for_good(struct choice *choice, uint32_t place)
{
    if (choice->tried_count == CHOICE_TRIED_MAX)
        return;
    choice->tried[choice->tried_count++] = choice->tried[choice->gone_count];
    choice->tried[choice->gone_count++] = place;
}

/* Nobody else is left: those may be asked again that were excluded, but not for good. */
static inline void choice_forgive(struct choice *choice)
{
    choice->tried_count = choice->gone_count;
}

/* For protocols without answers: the session stays at the endpoint that was picked. */
void choice_settle_with(struct choice *choice, const struct service *service, unsigned worker);
static inline void choice_settle(
    struct choice *choice, const struct service *service, unsigned worker)
{
    if (service->sticky)
        choice_settle_with(choice, service, worker);
}

/* The picked endpoint has answered: its session stays there, or ends if the request says so. The
 * answer's fields are in x->response. */
void choice_keep_with(struct choice *choice, const struct service *service, struct exchange *x);
static inline void choice_keep(
    struct choice *choice, const struct service *service, struct exchange *x)
{
    if (service->sticky)
        choice_keep_with(choice, service, x);
}
