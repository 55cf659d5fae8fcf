/* A route's chain: its handler with the policies around it, in the order of policies.def. */
#pragma once

#include "gateway/snapshot.h"

/* Prepares the handler and the policies of a route and links them. Complaints go to
 * prepare->reader. NO_MEMORY, INVALID, OK. */
enum status chain_build(const struct prepare *prepare, const struct gateway_options *options,
    const struct route_options *from, struct route *route);
