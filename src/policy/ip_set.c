#include "policy/ip_set.h"

#include <stdlib.h>

/* Networks are ranges of numbers of 128 bits. Sorted, with those that touch or overlap made one,
 * they can be asked by halving: only the last range that begins at or below an address can hold it.
 */

typedef unsigned __int128 number;

struct range {
    number first, last;
};

struct ip_set {
    size_t count;
    struct range *ranges; /* in the arena */
};

static number number_of(const unsigned char bytes[16])
{
    number n = 0;
    for (int i = 0; i < 16; i++)
        n = n << 8 | bytes[i];
    return n;
}

static struct range range_of(const struct network *network)
{
    number rest = network->bits == 0 ? ~(number)0 : ((number)1 << (128 - network->bits)) - 1;
    number base = number_of(network->bytes);
    return (struct range){base & ~rest, base | rest};
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *one = a, *two = b;
    return (one->first > two->first) - (one->first < two->first);
}

/* Makes one range of those that overlap; returns how many are left. */
static size_t merge(struct range *ranges, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept && ranges[i].first <= ranges[kept - 1].last) {
            if (ranges[i].last > ranges[kept - 1].last)
                ranges[kept - 1].last = ranges[i].last;
        } else {
            ranges[kept++] = ranges[i];
        }
    }
    return kept;
}

enum status ip_set_build(
    struct arena *arena, const struct network_list *list, const struct ip_set **ret_set)
{
    struct ip_set *set = arena_new(arena, struct ip_set);
    struct range *ranges = arena_array(arena, list->count + 1, sizeof *ranges);
    if (!set || !ranges)
        return NO_MEMORY;
    for (size_t i = 0; i < list->count; i++)
        ranges[i] = range_of(&list->items[i]);
    qsort(ranges, list->count, sizeof *ranges, compare_ranges);
    set->ranges = ranges;
    set->count = merge(ranges, list->count);
    *ret_set = set;
    return OK;
}

bool ip_set_has(const struct ip_set *set, const struct address *address)
{
    if (address->any.sa_family == AF_UNIX)
        return false;
    unsigned char bytes[16];
    address_ip_bytes(address, bytes);
    number n = number_of(bytes);
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].first <= n)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && n <= set->ranges[low - 1].last;
}
