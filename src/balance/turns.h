/* Turns in proportion to weights, spread evenly: whoever's turn is due soonest is picked, and its
 * next one is due a stride later. Picking costs the logarithm of how many there are.
 *
 * Each begins at a place of its own within its first stride, so that those with the same stride do
 * not follow each other in a block, and workers do not march in step. */
#pragma once

#include "balance/balancer.h"

#define TURN_STRIDE 0x1p32 /* of a weight of 1 */

struct turn {
    uint64_t due; /* wraps around: only differences count */
    uint32_t index;
};

/* How far apart a candidate's turns are now. */
typedef double turn_stride(const struct group *group, uint32_t index);

/* Without weights: a number that counts up, from a place that differs from worker to worker. */
static inline uint32_t turn_first(const struct group *group, uint64_t seed)
{
    return group->count ? (uint32_t)(seed % group->count) : 0;
}

/* The next who will do, from `*next` on, which moves behind it; PICK_NONE. */
uint32_t turn_next(uint32_t *next, const struct pick *pick);

/* In inverse proportion to the weight. */
turn_stride turn_stride_by_weight;

/* Puts turns in order: a heap, the soonest first. */
void turns_order(struct turn *turns, uint32_t count);

/* Moves the first one on by a stride. */
void turns_advance(struct turn *turns, uint32_t count, double stride);

/* `turns` has one for each candidate. */
void turns_begin(struct turn *turns, const struct group *group, uint64_t seed);

/* Whoever's turn it is of those who will do; PICK_NONE. */
uint32_t turns_pick(struct turn *turns, const struct pick *pick, turn_stride *stride);
