/* To whom answers fastest: the average time to the head of an answer, times the requests that would
 * be in flight there, by weight. */
#include "balance/latency.h"
#include "balance/draw.h"
#include "balance/scan.h"

#include <stdlib.h>

static double cost(const struct pick *pick, const struct candidate *candidate)
{
    double average = latency_average(candidate->load, pick->now);
    return latency_cost(average, candidate_in_flight(candidate)) / candidate->weight;
}

static uint32_t pick_fastest(void *state, const struct pick *pick)
{
    (void)state;
    return scan_cheapest(pick, cost, true);
}

const struct balancer_type least_response_time_balancer = {
    .name = "least-response-time",
    .help = "Whoever answers fastest on average, times the requests in flight, by weight; of more "
            "than 16, of eight drawn by lot.",
    .build = draw_build,
    .release = free,
    .pick = pick_fastest,
};
