#include "balance/slate.h"

#include "balance/mix.h"

#include <stdlib.h>

/* How often a group's average load is looked at: after so many picks for each candidate. */
#define PICKS_PER_LOOK 8

/* --- building */

static bool has_zones(const struct slate_options *options)
{
    return options->own.region.size || options->own.zone.size;
}

/* In which group a member belongs. Without a zone of our own others' mean nothing. */
static struct standing standing_of(
    const struct slate_options *options, const struct slate_member *member)
{
    struct standing standing = {.tier = member->standing.tier};
    return has_zones(options) ? member->standing : standing;
}

static bool is_same_standing(const struct standing *a, const struct standing *b)
{
    return a->tier == b->tier && slice_equal(a->region, b->region) && slice_equal(a->zone, b->zone);
}

static uint32_t region_number(const struct slate *slate, struct slice region)
{
    uint32_t most = 0;
    if (slice_equal(region, slate->options.own.region))
        return 0;
    for (uint32_t i = 0; i < slate->group_count; i++) {
        const struct slate_group *known = &slate->groups[i];
        if (slice_equal(known->standing.region, region))
            return known->region;
        most = known->region > most ? known->region : most;
    }
    return most + 1;
}

static bool comes_before(const struct slate_group *a, const struct slate_group *b)
{
    return a->standing.tier != b->standing.tier ? a->standing.tier < b->standing.tier
                                                : a->region < b->region;
}

/* In order; its candidates are counted later. */
static void add_group(struct slate *slate, const struct standing *standing)
{
    const struct slate_options *options = &slate->options;
    struct slate_group group = {.standing = *standing,
        .region = region_number(slate, standing->region),
        .is_own_zone = has_zones(options) && slice_equal(standing->region, options->own.region) &&
                       slice_equal(standing->zone, options->own.zone)};
    uint32_t at = slate->group_count++;
    for (; at > 0 && comes_before(&group, &slate->groups[at - 1]); at--)
        slate->groups[at] = slate->groups[at - 1];
    slate->groups[at] = group;
}

static struct slate_group *find_group(struct slate *slate, const struct standing *standing)
{
    for (uint32_t i = 0; i < slate->group_count; i++)
        if (is_same_standing(&slate->groups[i].standing, standing))
            return &slate->groups[i];
    return NULL;
}

static void find_groups(struct slate *slate, const struct slate_member *members)
{
    for (uint32_t i = 0; i < slate->count; i++) {
        struct standing standing = standing_of(&slate->options, &members[i]);
        struct slate_group *group = find_group(slate, &standing);
        if (!group) {
            add_group(slate, &standing);
            group = find_group(slate, &standing);
        }
        group->group.count++;
    }
    if (slate->group_count == 0) /* nobody: one that is empty */
        slate->group_count = 1;
}

static void place_candidates(struct slate *slate, const struct slate_member *members)
{
    struct candidate *next = slate->candidates;
    for (uint32_t g = 0; g < slate->group_count; g++) {
        slate->groups[g].group.candidates = next;
        next += slate->groups[g].group.count;
        slate->groups[g].group.count = 0;
    }
    for (uint32_t i = 0; i < slate->count; i++) {
        struct standing standing = standing_of(&slate->options, &members[i]);
        struct group *group = &find_group(slate, &standing)->group;
        const struct candidate *first = group->candidates;
        slate->candidates[first - slate->candidates + group->count++] = members[i].candidate;
        group->is_weighted = group->is_weighted || members[i].candidate.weight != first->weight;
    }
}

/* What a worker keeps of a group besides the algorithm's state. */
struct group_state {
    uint64_t upto;       /* of 2^32: draws below this, and not below the group's before, mean it */
    double bound;        /* requests in flight for a weight of 1 */
    uint32_t picks_left; /* until that is looked at again */
};

struct slate_state {
    uint32_t change; /* of *options->change, when `upto` was worked out */
    bool is_known;
    struct group_state groups[];
};

static enum status build_groups(struct slate *slate)
{
    const struct balancer_type *type = slate->options.type;
    size_t size = sizeof(struct slate_state) + slate->group_count * sizeof(struct group_state);
    size = (size + 15) & ~(size_t)15;
    enum status e = OK;
    for (uint32_t i = 0; !e && i < slate->group_count; i++) {
        struct slate_group *one = &slate->groups[i];
        one->group.settings = &slate->options.settings;
        one->state_offset = size;
        size += balancer_state_size(type, one->group.count);
        if (type->build && one->group.count)
            e = type->build(&one->group, &one->group.table);
    }
    slate->state_size = size;
    return e;
}

static bool is_choosy(const struct slate *slate)
{
    const struct balance_settings *settings = &slate->options.settings;
    bool has_limits = false;
    for (uint32_t i = 0; i < slate->count; i++)
        has_limits = has_limits || slate->candidates[i].limit;
    return has_limits || settings->bound > 0;
}

enum status slate_new(const struct slate_options *options, const struct slate_member *members,
    uint32_t count, struct slate **ret_slate)
{
    struct slate *slate = calloc(1, sizeof *slate);
    if (!slate)
        return NO_MEMORY;
    slate->options = *options;
    slate->count = count;
    slate->candidates = calloc((size_t)count + 1, sizeof *slate->candidates);
    slate->groups = calloc((size_t)count + 1, sizeof *slate->groups);
    enum status e = slate->candidates && slate->groups ? OK : NO_MEMORY;
    if (!e) {
        find_groups(slate, members);
        place_candidates(slate, members);
        e = build_groups(slate);
    }
    if (e) {
        slate_free(slate);
        return e;
    }
    slate->is_choosy = is_choosy(slate);
    slate->is_plain = slate->group_count == 1 && !slate->is_choosy;
    *ret_slate = slate;
    return OK;
}

void slate_free(struct slate *slate)
{
    if (!slate)
        return;
    for (uint32_t i = 0; slate->groups && i < slate->group_count; i++)
        if (slate->groups[i].group.table)
            slate->options.type->release(slate->groups[i].group.table);
    free(slate->groups);
    free(slate->candidates);
    free(slate);
}

void slate_begin(const struct slate *slate, void *state, uint64_t seed)
{
    const struct balancer_type *type = slate->options.type;
    for (uint32_t i = 0; type->begin && i < slate->group_count; i++) {
        const struct slate_group *one = &slate->groups[i];
        type->begin((char *)state + one->state_offset, &one->group, mix(seed + i));
    }
}

/* --- which group */

static struct spread_part part_of(const struct slate_group *one)
{
    struct spread_part part = {
        .tier = one->standing.tier, .region = one->region, .is_own_zone = one->is_own_zone};
    for (uint32_t i = 0; i < one->group.count; i++) {
        const struct candidate *candidate = &one->group.candidates[i];
        bool is_up = candidate_is_up(candidate);
        part.weight += candidate->weight;
        part.weight_up += is_up ? candidate->weight : 0;
        part.count_up += is_up;
    }
    return part;
}

#define GROUPS_AT_ONCE 64 /* beyond these groups take what is left, in order */

static void work_out_shares(const struct slate *slate, struct slate_state *state)
{
    struct spread_part parts[GROUPS_AT_ONCE];
    uint32_t count = slate->group_count < GROUPS_AT_ONCE ? slate->group_count : GROUPS_AT_ONCE;
    double upto = 0;
    for (uint32_t i = 0; i < count; i++)
        parts[i] = part_of(&slate->groups[i]);
    spread(parts, count, &slate->options.rules);
    for (uint32_t i = 0; i < count; i++) {
        upto += parts[i].share;
        state->groups[i].upto = (uint64_t)(upto * 0x1p32 + 0.5);
    }
}

/* By a hash, the same key comes to the same group while the shares stay. */
static uint32_t draw_group(const struct slate *slate, struct slate_state *state, struct pick *pick)
{
    uint32_t change = slate->options.change
                          ? atomic_load_explicit(slate->options.change, memory_order_relaxed)
                          : state->change;
    if (!state->is_known || change != state->change) {
        state->is_known = true;
        state->change = change;
        work_out_shares(slate, state);
    }
    uint64_t draw = pick->hash ? mix(~pick->hash) : random_next(pick->random);
    for (uint32_t i = 0; i < slate->group_count; i++)
        if (draw >> 32 < state->groups[i].upto)
            return i;
    return 0;
}

/* --- within it */

/* Each may have `bound` times what all who are up have on average, one more request counted. */
static double bound_of(const struct group *group, struct group_state *state)
{
    if (state->picks_left > 0) {
        state->picks_left--;
        return state->bound;
    }
    double in_flight = 1, weight = 0;
    for (uint32_t i = 0; i < group->count; i++) {
        const struct candidate *candidate = &group->candidates[i];
        if (!candidate_is_up(candidate))
            continue;
        in_flight += candidate_in_flight(candidate);
        weight += candidate->weight;
    }
    state->picks_left = group->count / PICKS_PER_LOOK;
    state->bound = weight > 0 ? group->settings->bound * in_flight / weight : 0;
    return state->bound;
}

static uint32_t pick_in(
    const struct slate *slate, uint32_t number, struct slate_state *state, struct pick *pick)
{
    const struct slate_group *one = &slate->groups[number];
    const struct balance_settings *settings = one->group.settings;
    void *own = (char *)state + one->state_offset;
    pick->group = &one->group;
    pick->is_easy = false;
    pick->is_choosy = pick->tried_count > 0 || slate->is_choosy || slate_rises(slate, pick->now);
    if (settings->bound > 0)
        pick->bound = bound_of(&one->group, &state->groups[number]);
    uint32_t index = slate->options.type->pick(own, pick);
    if (index == PICK_NONE && pick->is_choosy) {
        pick->is_easy = true;
        index = slate->options.type->pick(own, pick);
    }
    return index == PICK_NONE ? PICK_NONE : one->group.candidates[index].place;
}

uint32_t slate_pick_with_care(const struct slate *slate, void *state, struct pick *pick)
{
    struct slate_state *own = state;
    uint32_t first = slate->group_count > 1 ? draw_group(slate, own, pick) : 0;
    uint32_t place = pick_in(slate, first, own, pick);
    for (uint32_t i = 0; place == PICK_NONE && i < slate->group_count; i++)
        if (i != first)
            place = pick_in(slate, i, own, pick);
    return place;
}
