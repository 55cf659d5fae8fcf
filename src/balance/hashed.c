#include "balance/hashed.h"

uint32_t hashed_pick_any(const struct pick *pick)
{
    uint32_t count = pick->group->count, index = (uint32_t)(mix(pick->hash) % count);
    for (uint32_t seen = 0; seen < count; seen++) {
        if (candidate_will_do(pick, index))
            return index;
        index = index + 1 < count ? index + 1 : 0;
    }
    return PICK_NONE;
}

double hashed_weight(const struct group *group)
{
    double weight = 0;
    for (uint32_t i = 0; i < group->count; i++)
        weight += group->candidates[i].weight;
    return weight;
}
