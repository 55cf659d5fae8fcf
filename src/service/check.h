/* Active health checks: each endpoint is asked again and again, on the control loop, and marked
 * down or up. Between two questions there is a timer and no fiber, for there may be many thousands
 * of endpoints. Each question has a connection of its own: so it also tells whether one can
 * connect, and nothing is kept open meanwhile.
 *
 * The verdict belongs to the endpoint and survives reloads; how it is checked is said by the newest
 * service that is in use. An endpoint that nobody checks counts as well. */
#pragma once

#include "service/roster.h"

/* When a service begins to be used, and when its endpoints change. On the control thread. */
void checks_start(const struct endpoint_set *set, const struct service_options *options);

/* When the service goes: its endpoints are checked no more, unless a newer one says how. */
void checks_stop(const struct endpoint_set *set, const struct service_options *options);

/* The endpoint goes: nobody asks any more. On the control thread. */
void check_stop(struct endpoint *endpoint);
