/* A slate: the endpoints among which requests of a service are balanced, in groups, with what the
 * algorithm has made of each. Immutable and shared by all workers; made on the control thread when
 * endpoints come or go. What a worker needs besides is its state, of slate_state_size bytes.
 *
 * Without tiers and zones there is one group, and picking is what the algorithm does. */
#pragma once

#include "balance/balancer.h"
#include "balance/spread.h"

/* Where an endpoint stands. */
struct standing {
    uint32_t tier;
    struct slice region, zone; /* empty: none */
};

struct slate_options {
    const struct balancer_type *type;
    struct balance_settings settings;
    struct spread_rules rules;
    struct standing own;            /* the gateway's region and zone; both empty: no zones */
    const _Atomic uint32_t *change; /* borrowed: moves when an endpoint goes up or down */
    const _Atomic int64_t *risen;   /* borrowed: instant at which one last began or came back, so
                                       that slow starts cost nothing later; NULL: they always do */
};

struct slate_group {
    struct group group;
    struct standing standing; /* slices borrowed from the members */
    bool is_own_zone;
    uint32_t region;     /* in the order in which they are met, the own one 0 */
    size_t state_offset; /* of the algorithm's state in a worker's */
};

struct slate {
    struct slate_options options;
    bool is_plain;  /* one group, and whoever is up will do */
    bool is_choosy; /* not everybody who is up will do, slow starts apart */
    uint32_t count, group_count;
    struct candidate *candidates; /* owned: by group */
    struct slate_group *groups;   /* owned */
    size_t state_size;
};

struct slate_member {
    struct candidate candidate;
    struct standing standing; /* its slices outlive the slate */
};

/* Members in any order; those of a group keep theirs. NO_MEMORY. */
enum status slate_new(const struct slate_options *options, const struct slate_member *members,
    uint32_t count, struct slate **ret_slate);
void slate_free(struct slate *slate);

/* Readies one worker's state: cleared, aligned to 16. */
void slate_begin(const struct slate *slate, void *state, uint64_t seed);

/* With groups, or when not everybody who is up will do. */
uint32_t slate_pick_with_care(const struct slate *slate, void *state, struct pick *pick);

/* True when somebody may be starting slowly. */
static inline bool slate_rises(const struct slate *slate, instant now)
{
    const struct slate_options *options = &slate->options;
    if (options->settings.slow_start == 0)
        return false;
    return !options->risen || now - atomic_load_explicit(options->risen, memory_order_relaxed) <
                                  options->settings.slow_start;
}

/* The place of an endpoint that will do, or PICK_NONE. Of `pick` the caller fills in `random`,
 * `hash`, `now` and what was tried. */
static inline uint32_t slate_pick(const struct slate *slate, void *state, struct pick *pick)
{
    if (!slate->is_plain || pick->tried_count || slate_rises(slate, pick->now))
        return slate_pick_with_care(slate, state, pick);
    pick->group = &slate->groups[0].group;
    uint32_t index = slate->options.type->pick((char *)state + slate->groups[0].state_offset, pick);
    return index == PICK_NONE ? PICK_NONE : slate->candidates[index].place;
}
