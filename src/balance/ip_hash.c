/* By the client's address, or another key: the hash is scaled to the sum of the weights, and falls
 * to whom that part belongs. Exactly in proportion to the weights; but when endpoints come or go,
 * most keys move. */
#include "balance/hashed.h"

#include <stdlib.h>

#define PART 0x1p20 /* of a weight of 1 */

struct parts {
    uint64_t weight;
    uint64_t upto[]; /* the sum of the weights up to each candidate and with it */
};

static enum status build(const struct group *group, void **ret_table)
{
    uint64_t sum = 0;
    if (hashed_weight(group) <= 0)
        return OK;
    struct parts *parts = malloc(sizeof *parts + group->count * sizeof *parts->upto);
    if (!parts)
        return NO_MEMORY;
    for (uint32_t i = 0; i < group->count; i++)
        parts->upto[i] = sum += (uint64_t)(PART * group->candidates[i].weight);
    parts->weight = sum;
    *ret_table = parts;
    return OK;
}

static uint32_t place(const struct group *group, uint64_t hash)
{
    const struct parts *parts = group->table;
    uint64_t at = (uint64_t)((unsigned __int128)hash * parts->weight >> 64);
    uint32_t low = 0, high = group->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (at < parts->upto[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static uint32_t pick_by_hash(void *state, const struct pick *pick)
{
    (void)state;
    return hashed_pick(pick, place);
}

const struct balancer_type ip_hash_balancer = {
    .name = "ip-hash",
    .help = "By the client's address: the same client comes to the same endpoint, until endpoints "
            "come or go.",
    .needs_hash = true,
    .key = "client.ip",
    .build = build,
    .release = free,
    .pick = pick_by_hash,
};
