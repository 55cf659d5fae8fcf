/* To whom has the fewest requests in flight, which over HTTP/1.1 and at layer 4 are its connections
 * in use. */
#include "balance/scan.h"

static double cost(const struct pick *pick, const struct candidate *candidate)
{
    (void)pick;
    return candidate_in_flight(candidate);
}

static uint32_t pick_least(void *state, const struct pick *pick)
{
    (void)state;
    return scan_cheapest(pick, cost, false);
}

const struct balancer_type least_connections_balancer = {
    .name = "least-connections",
    .help = "Whoever has the fewest connections in use; of more than 16, of eight drawn by lot.",
    .pick = pick_least,
};
