/* A call's place at a service: one of the requests that may be under way there, and an endpoint
 * that may take one more. Who finds none waits in the service's queue. */
#pragma once

#include "service/call.h"

/* An endpoint for the call's first attempt, waited for if need be. What attempt_choose says, and
 * QUEUE_FULL, QUEUE_TIMEOUT, CANCELLED; SERVICE_BUSY: there is no queue; LOAD_SHED:
 * others matter more. */
enum status place_find(struct call *call);

/* The same for another attempt beside the call's first, at once or not at all: SERVICE_BUSY and
 * LOAD_SHED also where that one would have waited. The seat is left with seat_leave. */
enum status place_find_second(struct attempt *second, struct seat *seat);

/* The service has answered, or has failed: how long that took, and how often it is so, says how
 * busy it is. */
void place_learn(const struct call *call, bool is_failure);

/* Again is harmless. */
void place_leave(struct call *call);
