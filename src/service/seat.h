/* A seat at a service: one of the requests that may be under way there, with an endpoint that may
 * take one more. Who finds none waits in the service's queue. For calls (place.h) and dials alike.
 *
 *     struct seat seat = {.service = service, .worker = worker, .rank = rank, ...};
 *     e = seat_find(&seat, deadline);      or seat_take, which never waits
 *     ... as long as it takes ...
 *     seat_leave(&seat);                   again is harmless */
#pragma once

#include "service/service_state.h"

struct seat {
    const struct service *service;
    unsigned worker;
    unsigned rank; /* in the queue (queue.h) */
    bool is_timed; /* how long it takes says how many there may be: counts where that is adaptive */
    bool is_inside; /* counted among the service's requests */
    instant entered;
    /* Chooses an endpoint, without waiting: SERVICE_BUSY when none may take one more; whatever else
     * it says ends the search. */
    enum status (*choose)(void *argument);
    void *argument;
};

/* What `choose` says; SERVICE_BUSY too when there may be no more requests. On the worker. */
enum status seat_take(struct seat *seat);

/* The same, and SERVICE_BUSY while others wait. */
enum status seat_try(struct seat *seat);

/* The same, waited for if need be: also QUEUE_FULL, QUEUE_TIMEOUT, CANCELLED; SERVICE_BUSY: there
 * is no queue. On a fiber. */
enum status seat_find(struct seat *seat, instant deadline);

/* Lets the next one in. */
void seat_leave(struct seat *seat);
