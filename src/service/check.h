/* Active health checks: a fiber on the control loop for each endpoint, which asks it again and
 * again and marks it down or up.
 *
 * The verdict belongs to the endpoint and survives reloads; how it is checked is said by the newest
 * service that is in use. An endpoint that nobody checks counts as well. */
#pragma once

#include "service/roster.h"

/* When a service begins to be used, and when its endpoints change. On the control thread. */
void checks_start(const struct endpoint_set *set, const struct service_options *options);

/* When the service goes: its endpoints are checked no more, unless a newer one says how. */
void checks_stop(const struct endpoint_set *set, const struct service_options *options);
