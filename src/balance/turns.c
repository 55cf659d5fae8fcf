#include "balance/turns.h"

#include "balance/draw.h"
#include "balance/mix.h"

static bool is_sooner(const struct turn *a, const struct turn *b)
{
    int64_t apart = (int64_t)(a->due - b->due);
    return apart < 0 || (apart == 0 && a->index < b->index);
}

static void sift_down(struct turn *turns, uint32_t count, uint32_t at)
{
    struct turn moved = turns[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_sooner(&turns[child + 1], &turns[child]))
            child++;
        if (!is_sooner(&turns[child], &moved))
            break;
        turns[at] = turns[child];
        at = child;
    }
    turns[at] = moved;
}

void turns_order(struct turn *turns, uint32_t count)
{
    for (uint32_t i = count / 2; i-- > 0;)
        sift_down(turns, count, i);
}

void turns_advance(struct turn *turns, uint32_t count, double stride)
{
    turns[0].due += (uint64_t)stride;
    sift_down(turns, count, 0);
}

uint32_t turn_next(uint32_t *next, const struct pick *pick)
{
    const struct group *group = pick->group;
    for (uint32_t tries = 0, i = *next; tries < group->count; tries++, i++) {
        if (i >= group->count)
            i = 0;
        if (!candidate_will_do(pick, i))
            continue;
        *next = i + 1;
        return i;
    }
    return PICK_NONE;
}

double turn_stride_by_weight(const struct group *group, uint32_t index)
{
    return TURN_STRIDE / group->candidates[index].weight;
}

void turns_begin(struct turn *turns, const struct group *group, uint64_t seed)
{
    for (uint32_t i = 0; i < group->count; i++) {
        double stride =
            group->candidates[i].weight > 0 ? turn_stride_by_weight(group, i) : TURN_STRIDE;
        double part = mix_share(seed + i * 0x9e3779b97f4a7c15u); /* golden ratios: far apart */
        turns[i] = (struct turn){(uint64_t)(part * stride), i};
    }
    turns_order(turns, group->count);
}

/* Who is down goes behind the lightest of those who are up, so that a heavy one is not met again
 * and again; who is only passed over this time keeps its pace. */
uint32_t turns_pick(struct turn *turns, const struct pick *pick, turn_stride *stride)
{
    const struct group *group = pick->group;
    for (uint32_t tries = 0; tries < 2 * group->count; tries++) {
        uint32_t index = turns[0].index;
        bool is_up = candidate_is_up(&group->candidates[index]);
        turns_advance(turns, group->count, is_up ? stride(group, index) : TURN_STRIDE);
        if (is_up && candidate_will_do(pick, index))
            return index;
    }
    return draw_any(pick);
}
