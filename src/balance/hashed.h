/* Picking by a hash: the same key comes to the same endpoint.
 *
 * An algorithm says only where a hash falls. When that endpoint will not do now (it is down, at its
 * bound, or a newcomer), the key jumps: it is hashed once more, and falls anew. So what an endpoint
 * cannot take is spread over all others, and not heaped on a neighbour; and a key comes back to the
 * same place as soon as it can (random jumps: Chen, Coleman, Shrivastava, arXiv 1908.08762). */
#pragma once

#include "balance/draw.h"
#include "balance/mix.h"

#define HASHED_JUMPS 32 /* before all are looked at in turn */

/* The index of the candidate where a hash falls, from the group's table. */
typedef uint32_t hashed_place(const struct group *group, uint64_t hash);

/* From a place that the hash gives, so that the key keeps its endpoint here too. */
uint32_t hashed_pick_any(const struct pick *pick);

static inline uint32_t hashed_pick(const struct pick *pick, hashed_place *place)
{
    uint64_t hash = pick->hash;
    if (!pick->group->table)
        return PICK_NONE;
    for (int jumps = 0; jumps < HASHED_JUMPS; jumps++) {
        uint32_t index = place(pick->group, hash);
        if (candidate_will_do(pick, index))
            return index;
        hash = mix(hash);
    }
    return hashed_pick_any(pick);
}

/* The sum of the weights; tables are made of groups that have one. */
double hashed_weight(const struct group *group);
