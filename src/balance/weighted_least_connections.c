/* To whom has the fewest requests in flight for its weight. Those that have none share by their
 * weights, so that the heaviest does not get all that a quiet service is asked. */
#include "balance/draw.h"
#include "balance/scan.h"

#include <stdlib.h>

static double cost(const struct pick *pick, const struct candidate *candidate)
{
    (void)pick;
    return (double)candidate_in_flight(candidate) / candidate->weight;
}

static uint32_t pick_least(void *state, const struct pick *pick)
{
    (void)state;
    return scan_cheapest(pick, cost, true);
}

const struct balancer_type weighted_least_connections_balancer = {
    .name = "weighted-least-connections",
    .help = "Whoever has the fewest connections in use for its weight; of more than 16, of eight "
            "drawn by lot.",
    .build = draw_build,
    .release = free,
    .pick = pick_least,
};
