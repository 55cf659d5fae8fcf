/* What is known at run time of a service's hedges (hedge.h): how many there were, and how long each
 * route's requests take. By the service's name, shared by all workers, kept across reloads. */
#pragma once

#include "service/pace.h"
#include "service/retry_budget.h"

struct json_writer;
struct service;

#define HEDGING_BUCKETS 16

struct hedging {
    struct retry_budget budget; /* of requests that may be hedged, and of their hedges */
    _Atomic uint32_t count;     /* of paces */
    _Atomic(struct pace *) buckets[HEDGING_BUCKETS]; /* owned, by a hash of their names; only added
                                                        to */
};

/* Counted by the registry: registry_release. On the control thread. NO_MEMORY. */
enum status hedging_obtain(
    struct registry *registry, struct slice service, struct hedging **ret_hedging);

/* The pace of a route of that name, for that share; made if there is none. From any worker. NULL:
 * no memory, or there are too many. */
struct pace *hedging_pace(struct hedging *hedging, struct slice route, double share);

/* For `weir status`: writes a member "hedge", if the service's options or its routes speak of any.
 */
void hedging_describe(const struct service *service, struct json_writer *writer);
