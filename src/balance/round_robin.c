/* One after the other. While all weights are the same that is a number that counts up; else the
 * turns are weighted. Each worker begins at a place of its own, so that workers do not march in
 * step. */
#include "balance/turns.h"

struct round_robin {
    uint32_t next;
    struct turn turns[];
};

static void begin(void *state, const struct group *group, uint64_t seed)
{
    struct round_robin *robin = state;
    robin->next = turn_first(group, seed);
    turns_begin(robin->turns, group, seed);
}

static uint32_t pick_next(void *state, const struct pick *pick)
{
    struct round_robin *robin = state;
    if (pick->group->is_weighted)
        return turns_pick(robin->turns, pick, turn_stride_by_weight);
    return turn_next(&robin->next, pick);
}

const struct balancer_type round_robin_balancer = {
    .name = "round-robin",
    .help = "One after the other; in proportion to the weights where they differ.",
    .state_size = sizeof(struct round_robin),
    .state_per_candidate = sizeof(struct turn),
    .begin = begin,
    .pick = pick_next,
};
