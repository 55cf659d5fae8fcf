/* Of a few drawn by lot (two, by default) to whom has the fewest requests in flight. That is nearly
 * as even as asking all of them, costs the same however many there are, and does not send
 * everybody's requests to the same newcomer.
 *
 * Where the weights differ there are turns instead, which come more slowly the more requests are in
 * flight: one of weight w is picked in proportion to w / (requests + 1) ^ bias. */
#include "balance/scan.h"
#include "balance/turns.h"

#include <math.h>

static void begin(void *state, const struct group *group, uint64_t seed)
{
    turns_begin(state, group, seed);
}

static double cost(const struct pick *pick, const struct candidate *candidate)
{
    (void)pick;
    return candidate_in_flight(candidate);
}

static double stride(const struct group *group, uint32_t index)
{
    double busy = 1.0 + candidate_in_flight(&group->candidates[index]);
    double bias = group->settings->bias;
    return turn_stride_by_weight(group, index) * (bias == 1 ? busy : pow(busy, bias));
}

static uint32_t pick_by_lot(void *state, const struct pick *pick)
{
    return pick->group->is_weighted ? turns_pick(state, pick, stride) : scan_drawn(pick, cost);
}

const struct balancer_type least_requests_balancer = {
    .name = "least-requests",
    .help = "Of two drawn by lot (`choices`) whoever has fewer requests in flight; where the "
            "weights differ, in proportion to weight / (requests in flight + 1).",
    .state_per_candidate = sizeof(struct turn),
    .begin = begin,
    .pick = pick_by_lot,
};
