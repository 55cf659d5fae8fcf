/* What ends when: a heap of whatever has an end, the soonest on top. Intrusive: an item is a member
 * of what ends. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expiry_item {
    int64_t when;
    size_t place; /* in the heap */
};

struct expiry {
    struct expiry_item **items; /* owned; `count` of `capacity` */
    size_t count, capacity;
};

void expiry_init(struct expiry *expiry);
void expiry_release(struct expiry *expiry);

/* False when there is no memory. */
bool expiry_add(struct expiry *expiry, struct expiry_item *item);
void expiry_remove(struct expiry *expiry, struct expiry_item *item);

/* One that is in the heap ends at another time. */
void expiry_move(struct expiry *expiry, struct expiry_item *item, int64_t when);

/* NULL when there is none. */
static inline struct expiry_item *expiry_first(const struct expiry *expiry)
{
    return expiry->count ? expiry->items[0] : NULL;
}
