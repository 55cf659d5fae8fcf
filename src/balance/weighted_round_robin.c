/* Each turn every usable candidate earns its weight; the richest is picked and pays what all have
 * earned. */
#include "balance/weighted_round_robin.h"

uint32_t weighted_round_robin_pick(int64_t *credits, const struct pick *pick)
{
    uint32_t richest = PICK_NONE;
    int64_t earned = 0;
    for (uint32_t i = 0; i < pick->count; i++) {
        if (!candidate_is_usable(pick, i))
            continue;
        credits[i] += pick->candidates[i].weight;
        earned += pick->candidates[i].weight;
        if (richest == PICK_NONE || credits[i] > credits[richest])
            richest = i;
    }
    if (richest != PICK_NONE)
        credits[richest] -= earned;
    return richest;
}

static uint32_t pick_by_credit(void *state, const struct pick *pick)
{
    return weighted_round_robin_pick(state, pick);
}

const struct balancer_type weighted_round_robin_balancer = {
    .name = "weighted-round-robin",
    .help = "One after the other, in proportion to the weights and evenly spread.",
    .state_per_candidate = sizeof(int64_t),
    .pick = pick_by_credit,
};
