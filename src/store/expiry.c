#include "store/expiry.h"

#include <stdlib.h>

#include "base/grow.h"

void expiry_init(struct expiry *expiry)
{
    *expiry = (struct expiry){0};
}

void expiry_release(struct expiry *expiry)
{
    free(expiry->items);
    expiry_init(expiry);
}

static void put(struct expiry *expiry, size_t place, struct expiry_item *item)
{
    expiry->items[place] = item;
    item->place = place;
}

static void rise(struct expiry *expiry, struct expiry_item *item)
{
    size_t place = item->place;
    while (place > 0) {
        struct expiry_item *above = expiry->items[(place - 1) / 2];
        if (above->when <= item->when)
            break;
        size_t next = above->place;
        put(expiry, place, above);
        place = next;
    }
    put(expiry, place, item);
}

static void sink(struct expiry *expiry, struct expiry_item *item)
{
    size_t place = item->place;
    for (;;) {
        size_t below = 2 * place + 1;
        if (below >= expiry->count)
            break;
        if (below + 1 < expiry->count &&
            expiry->items[below + 1]->when < expiry->items[below]->when)
            below++;
        if (expiry->items[below]->when >= item->when)
            break;
        put(expiry, place, expiry->items[below]);
        place = below;
    }
    put(expiry, place, item);
}

bool expiry_add(struct expiry *expiry, struct expiry_item *item)
{
    if (!grow_for_one(
            &expiry->items, &expiry->capacity, expiry->count, sizeof(struct expiry_item *)))
        return false;
    put(expiry, expiry->count++, item);
    rise(expiry, item);
    return true;
}

void expiry_remove(struct expiry *expiry, struct expiry_item *item)
{
    struct expiry_item *last = expiry->items[--expiry->count];
    if (last == item)
        return;
    put(expiry, item->place, last);
    rise(expiry, last);
    sink(expiry, last);
}

void expiry_move(struct expiry *expiry, struct expiry_item *item, int64_t when)
{
    item->when = when;
    rise(expiry, item);
    sink(expiry, item);
}
