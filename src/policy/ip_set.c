#include "policy/ip_set.h"

#include <stdlib.h>

/* Networks are ranges of numbers of 128 bits. Sorted, with those that overlap made one, they
 * can be asked by halving: only the last range that begins at or below an address can hold it.
 */

typedef unsigned __int128 number;

struct range {
    number first, last;
};

/* Addresses of IPv4 are most of what is listed and asked: four bytes each. */
struct narrow_range {
    uint32_t first, last;
};

struct ip_set {
    size_t count, narrow_count;
    struct range *ranges;        /* in the arena; those that have more than IPv4 */
    struct narrow_range *narrow; /* in the arena */
};

#define IPV4_FIRST ((number)0xffff << 32) /* ::ffff:0:0/96 */
#define IPV4_LAST  (IPV4_FIRST | UINT32_MAX)

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

/* Files are often sorted already. */
static void sort(struct range *ranges, size_t count)
{
    size_t i = 1;
    while (i < count && ranges[i - 1].first <= ranges[i].first)
        i++;
    if (i < count)
        qsort(ranges, count, sizeof *ranges, compare_ranges);
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

static bool has_ipv4(const struct range *range)
{
    return range->first <= IPV4_LAST && range->last >= IPV4_FIRST;
}

static bool is_ipv4_alone(const struct range *range)
{
    return range->first >= IPV4_FIRST && range->last <= IPV4_LAST;
}

static enum status take_room(
    struct arena *arena, struct ip_set *set, const struct range *ranges, size_t count)
{
    size_t narrow = 0, wide = 0;
    for (size_t i = 0; i < count; i++) {
        narrow += has_ipv4(&ranges[i]);
        wide += !is_ipv4_alone(&ranges[i]);
    }
    set->narrow = arena_array(arena, narrow + 1, sizeof *set->narrow);
    set->ranges = arena_array(arena, wide + 1, sizeof *set->ranges);
    return set->narrow && set->ranges ? OK : NO_MEMORY;
}

static enum status fill(
    struct arena *arena, struct ip_set *set, const struct range *ranges, size_t count)
{
    enum status e = take_room(arena, set, ranges, count);
    for (size_t i = 0; !e && i < count; i++) {
        const struct range *range = &ranges[i];
        if (has_ipv4(range))
            set->narrow[set->narrow_count++] =
                (struct narrow_range){range->first < IPV4_FIRST ? 0 : (uint32_t)range->first,
                    range->last > IPV4_LAST ? UINT32_MAX : (uint32_t)range->last};
        if (!is_ipv4_alone(range))
            set->ranges[set->count++] = *range;
    }
    return e;
}

enum status ip_set_build(
    struct arena *arena, const struct network_list *list, const struct ip_set **ret_set)
{
    struct ip_set *set = arena_new(arena, struct ip_set);
    struct range *ranges = malloc((list->count + 1) * sizeof *ranges);
    enum status e = set && ranges ? OK : NO_MEMORY;
    for (size_t i = 0; !e && i < list->count; i++)
        ranges[i] = range_of(&list->items[i]);
    if (!e) {
        sort(ranges, list->count);
        e = fill(arena, set, ranges, merge(ranges, list->count));
    }
    free(ranges);
    if (!e)
        *ret_set = set;
    return e;
}

static bool has_narrow(const struct ip_set *set, uint32_t n)
{
    size_t low = 0, high = set->narrow_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->narrow[middle].first <= n)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && n <= set->narrow[low - 1].last;
}

static bool has_wide(const struct ip_set *set, number n)
{
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

bool ip_set_has(const struct ip_set *set, const struct address *address)
{
    if (address->any.sa_family == AF_UNIX)
        return false;
    unsigned char bytes[16];
    address_ip_bytes(address, bytes);
    number n = number_of(bytes);
    return n >= IPV4_FIRST && n <= IPV4_LAST ? has_narrow(set, (uint32_t)n) : has_wide(set, n);
}
