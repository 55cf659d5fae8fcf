/* Of two, whose turn it is and one drawn by lot, to whom has fewer requests in flight. That is
 * nearly as even as asking all of them, costs the same however many there are, does not send
 * everybody's requests to the same newcomer, and is round robin while there is little to do.
 *
 * Where the weights differ there are turns instead, which come more slowly the more requests are in
 * flight: one of weight w is picked in proportion to w / (requests + 1) ^ bias. */
#include "balance/scan.h"
#include "balance/turns.h"

#include <math.h>

struct least_requests {
    uint32_t next;
    struct turn turns[];
};

static void begin(void *state, const struct group *group, uint64_t seed)
{
    struct least_requests *least = state;
    least->next = turn_first(group, seed);
    turns_begin(least->turns, group, seed);
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

static uint32_t pick_least(void *state, const struct pick *pick)
{
    struct least_requests *least = state;
    if (pick->group->is_weighted)
        return turns_pick(least->turns, pick, stride);
    return scan_some(pick, turn_next(&least->next, pick), cost);
}

const struct balancer_type least_requests_balancer = {
    .name = "least-requests",
    .help = "Of two, whose turn it is and one drawn by lot (`choices`), whoever has fewer requests "
            "in flight; where the weights differ, in proportion to weight / (requests in flight + "
            "1).",
    .state_size = sizeof(struct least_requests),
    .state_per_candidate = sizeof(struct turn),
    .begin = begin,
    .pick = pick_least,
};
