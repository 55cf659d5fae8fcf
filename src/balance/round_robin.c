/* One after the other. While all weights are the same that is a number that counts up; else the
 * turns are weighted. Each worker begins at a place of its own, so that workers do not march in
 * step. */
#include "balance/weighted_round_robin.h"

struct round_robin {
    uint32_t next;
    bool has_begun, is_weighted;
    int64_t credits[];
};

static void build(void *state, const struct candidate *candidates, uint32_t count)
{
    struct round_robin *turn = state;
    for (uint32_t i = 1; i < count; i++)
        if (candidates[i].weight != candidates[0].weight)
            turn->is_weighted = true;
}

static uint32_t pick_next(void *state, const struct pick *pick)
{
    struct round_robin *turn = state;
    if (turn->is_weighted)
        return weighted_round_robin_pick(turn->credits, pick);
    if (!turn->has_begun && pick->count > 0)
        turn->next = (uint32_t)random_below(pick->random, pick->count);
    turn->has_begun = true;
    for (uint32_t tries = 0, i = turn->next; tries < pick->count; tries++, i++) {
        if (i >= pick->count)
            i = 0;
        if (!candidate_is_usable(pick, i))
            continue;
        turn->next = i + 1;
        return i;
    }
    return PICK_NONE;
}

const struct balancer_type round_robin_balancer = {
    .name = "round-robin",
    .help = "One after the other; in proportion to the weights where they differ.",
    .state_size = sizeof(struct round_robin),
    .state_per_candidate = sizeof(int64_t),
    .build = build,
    .pick = pick_next,
};
