/* Turns in proportion to the weights, spread evenly (turns.h). */
#include "balance/turns.h"

static void begin(void *state, const struct group *group, uint64_t seed)
{
    turns_begin(state, group, seed);
}

static uint32_t pick_by_turns(void *state, const struct pick *pick)
{
    return turns_pick(state, pick, turn_stride_by_weight);
}

const struct balancer_type weighted_round_robin_balancer = {
    .name = "weighted-round-robin",
    .help = "One after the other, in proportion to the weights and evenly spread.",
    .state_per_candidate = sizeof(struct turn),
    .begin = begin,
    .pick = pick_by_turns,
};
