#include "base/grow.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16

bool grow_for_one(void *items, size_t *capacity, size_t count, size_t item_size)
{
    void *old, *larger;
    size_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    if (count < *capacity)
        return true;
    memcpy(&old, items, sizeof old);
    larger = reallocarray(old, wanted, item_size);
    if (!larger)
        return false;
    memcpy(items, &larger, sizeof larger);
    *capacity = wanted;
    // cppcheck-suppress memleak
    return true; /* the list has it */
}
