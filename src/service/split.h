/* Splits: which of several things a user gets, by shares, so that users stay where they are.
 *
 * A user is a number. One thing after the other, in the order of their seeds, asks a hash of the
 * number and its own seed whether the user is its: with the share it has of what those before it
 * have left. So each gets its share, the same user always gets the same, and when one share rises
 * while no other does, those who have it keep it, and others come to it. Nothing is remembered, and
 * all gateways with the same names and shares say the same.
 *
 * Any thread picks while one changes the shares: it sees the old ones or the new ones. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SPLIT_MAX 16

struct split {
    uint32_t count;
    uint32_t places[SPLIT_MAX];         /* who asks, in their order */
    uint64_t seeds[SPLIT_MAX];          /* of those */
    _Atomic uint32_t turn;              /* odd while the shares are being changed */
    _Atomic uint32_t only;              /* who has all; SPLIT_MAX: nobody has */
    _Atomic uint64_t bounds[SPLIT_MAX]; /* in that order, of 2^53 */
};

/* Seeds are hashes of names, 1 to SPLIT_MAX of them, and different. The first has everything. */
void split_init(struct split *split, const uint64_t *seeds, size_t count);

/* Sets the shares, one for each and not negative: what counts is their part of the sum, which is
 * not 0. By one thread. */
void split_set(struct split *split, const double *shares);

/* Whose the user is: an index of the seeds. */
uint32_t split_pick(const struct split *split, uint64_t user);

/* Who has all, so that the user need not be known; SPLIT_MAX: nobody has. */
static inline uint32_t split_only(const struct split *split)
{
    return atomic_load_explicit(&split->only, memory_order_relaxed);
}
