/* What a request has taken of a limit that counts how many are under way (`concurrency`): it is its
 * own until the exchange's end, whatever that is, and is given back then, once.
 *
 * Taken in a store it counts for the time of a lease only, which is renewed for as long as it is
 * held (limit_lease.h). It is given back beside the exchange, which does not wait for that; what
 * cannot be given back ends with its lease. */
#pragma once

#include "policy/limit_count.h"

struct limit_held {
    struct exchange_end end;
    struct list node;          /* of its worker's leases; in none: it is held here */
    instant due;               /* when its lease is to be renewed */
    const struct limit *limit; /* borrowed from the snapshot, as is the rule */
    const struct limit_rule *rule;
    void *pinned; /* the snapshot, by the exchange */
    unsigned worker;
    enum limit_place place;
    int64_t cost, holder;
    size_t key_size;
    char key[];
};

/* Before something is taken: there is something to hold it with. Again is harmless. NO_MEMORY. */
enum status limit_held_prepare(struct limit_part *part, struct exchange *x);

/* It was taken, where the part says. */
void limit_held_begin(struct limit_part *part);

/* The store has not said whether it was taken: if so, it is given back. */
void limit_held_doubt(const struct limit_part *part);

/* Gives it back before the exchange's end. */
void limit_held_return(struct limit_part *part);

/* Says to the store that it is still held. On a fiber, and only as long as the snapshot is: what is
 * held may be given back meanwhile. Statuses of store.h. */
enum status limit_held_renew(const struct limit_held *held);
