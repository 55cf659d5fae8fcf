#include "balance/scan.h"

#include "balance/draw.h"
#include "balance/mix.h"

#define DRAWS 4 /* of somebody who is up; then whoever comes next */

struct cheapest {
    uint32_t index;
    double cost;
    double ties; /* the weight of all that cost as much */
};

static void compare(
    struct cheapest *best, const struct pick *pick, uint32_t index, double cost, double weight)
{
    if (best->index == PICK_NONE || cost < best->cost) {
        *best = (struct cheapest){index, cost, weight};
    } else if (cost == best->cost && index != best->index) {
        best->ties += weight;
        if (mix_share(random_next(pick->random)) * best->ties < weight)
            best->index = index;
    }
}

static uint32_t draw(const struct pick *pick, bool by_weight)
{
    return by_weight ? draw_by_weight(pick->group->table, pick->random)
                     : (uint32_t)random_below(pick->random, pick->group->count);
}

uint32_t scan_cheapest(const struct pick *pick, candidate_cost *cost, bool by_weight)
{
    const struct group *group = pick->group;
    struct cheapest best = {.index = PICK_NONE};
    bool is_all = group->count <= SCAN_ALL;
    uint32_t looks = is_all ? group->count : SCAN_DRAWN;
    for (uint32_t i = 0; i < looks; i++) {
        uint32_t index = is_all ? i : draw(pick, by_weight);
        if (index == PICK_NONE || !candidate_will_do(pick, index))
            continue;
        const struct candidate *candidate = &group->candidates[index];
        compare(
            &best, pick, index, cost(pick, candidate), is_all && by_weight ? candidate->weight : 1);
    }
    return best.index == PICK_NONE && !is_all ? draw_any(pick) : best.index;
}

/* Somebody else than the best so far, if anybody is up; so that of two both are compared, and
 * nobody is compared with himself because another is down. */
static uint32_t draw_another(const struct pick *pick, uint32_t best)
{
    uint32_t count = pick->group->count, index = best;
    for (int tries = 0; tries < DRAWS; tries++) {
        index = (uint32_t)random_below(pick->random, count - 1);
        index += index >= best;
        if (candidate_will_do(pick, index))
            return index;
    }
    for (uint32_t i = 0; i < count; i++, index++) {
        if (index >= count)
            index = 0;
        if (index != best && candidate_will_do(pick, index))
            return index;
    }
    return best;
}

uint32_t scan_some(const struct pick *pick, uint32_t first, candidate_cost *cost)
{
    const struct group *group = pick->group;
    uint32_t best = first;
    if (best == PICK_NONE || group->count == 1)
        return best;
    double least = cost(pick, &group->candidates[best]);
    for (int64_t i = 1; i < group->settings->choices; i++) {
        uint32_t other = draw_another(pick, best);
        double its = cost(pick, &group->candidates[other]);
        if (its < least) {
            best = other;
            least = its;
        }
    }
    return best;
}
