/* Lists on the heap that grow by doubling.
 *
 *     if (!grow_for_one(&list->items, &list->capacity, list->count, sizeof *list->items))
 *         return NO_MEMORY;
 *     list->items[list->count++] = item;
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Makes room for one item more than `count`. `items` is the address of the pointer to the first,
 * NULL in an empty list, and to be freed with free. False: there is no memory, and the list is as
 * it was. */
bool grow_for_one(void *items, size_t *capacity, size_t count, size_t item_size);
