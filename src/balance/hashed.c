#include "balance/hashed.h"

#include "balance/turns.h"

uint32_t hashed_pick_any(const struct pick *pick)
{
    uint32_t next = (uint32_t)(mix(pick->hash) % pick->group->count);
    return turn_next(&next, pick);
}

double hashed_weight(const struct group *group)
{
    double weight = 0;
    for (uint32_t i = 0; i < group->count; i++)
        weight += group->candidates[i].weight;
    return weight;
}
