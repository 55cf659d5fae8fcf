/* Of a few drawn by lot to whom would cost least: an average of its response times that goes up at
 * once and comes down slowly, times the requests that would be in flight, by weight. So one answer
 * that was slow is enough to be spared for a while. */
#include "balance/draw.h"
#include "balance/latency.h"
#include "balance/scan.h"

static double cost(const struct pick *pick, const struct candidate *candidate)
{
    double peak = latency_peak(candidate->load, pick->now);
    return latency_cost(peak, candidate_in_flight(candidate)) / candidate->weight;
}

static uint32_t pick_cheapest(void *state, const struct pick *pick)
{
    (void)state;
    return scan_some(pick, draw_evenly(pick), cost);
}

const struct balancer_type peak_ewma_balancer = {
    .name = "peak-ewma",
    .help = "Of two drawn by lot (`choices`) whoever is faster: its slowest answers of late, times "
            "the requests in flight, by weight.",
    .pick = pick_cheapest,
};
