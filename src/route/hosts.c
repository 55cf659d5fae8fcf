#include "route/hosts.h"

#include "base/hash.h"

#include <stdlib.h>

#define HOST_SIZE_MAX                                                          \
    255 /* of a DNS name; a longer one can only fall to the rules without host \
         */

static void host_set_release(struct host_set *set)
{
    free(set->items);
    free(set->slots);
    *set = (struct host_set){0};
}

void hosts_release(struct hosts *hosts)
{
    host_set_release(&hosts->exact);
    host_set_release(&hosts->wildcards);
}

static bool is_host_text(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        bool is_empty_label = c == '.' && (i == 0 || name.data[i - 1] == '.');
        if (is_empty_label || c <= ' ' || c >= 0x7f || strchr("*/\\?#@,[]{}%", c))
            return false;
    }
    return name.size > 0 && name.size <= HOST_SIZE_MAX;
}

/* A name is compared without the dot that may end it. */
static struct slice without_last_dot(struct slice name)
{
    bool has_dot = name.size > 1 && name.data[name.size - 1] == '.';
    return slice_head(name, name.size - has_dot);
}

enum status host_parse(
    struct arena *arena, struct slice text, enum host_kind *ret_kind, struct slice *ret_name)
{
    enum host_kind kind = HOST_EXACT;
    struct slice name = text;
    if (slice_equal(text, SLICE("*"))) {
        *ret_kind = HOST_ANY;
        *ret_name = SLICE_NONE;
        return OK;
    }
    if (slice_has_prefix(text, SLICE("*."))) {
        kind = HOST_WILDCARD;
        name = slice_from(text, 2);
    } else if (slice_has_prefix(text, SLICE("[")) && slice_has_suffix(text, SLICE("]"))) {
        name = slice_of(text.data + 1, text.size - 2);
    } else if (slice_find(text, ':') < text.size) {
        return INVALID;
    }
    name = without_last_dot(name);
    if (!is_host_text(name))
        return INVALID;
    struct slice lower = arena_copy(arena, name);
    if (!lower.data)
        return NO_MEMORY;
    for (size_t i = 0; i < lower.size; i++)
        if (lower.data[i] >= 'A' && lower.data[i] <= 'Z')
            ((char *)lower.data)[i] |= 0x20;
    *ret_kind = kind;
    *ret_name = lower;
    return OK;
}

/* The slot of a name, or the free one where it belongs. */
static uint32_t *find_slot(const struct host_set *set, struct slice name)
{
    uint32_t mask = set->slot_count - 1, i = (uint32_t)hash_bytes(name) & mask;
    while (set->slots[i] && !slice_equal(set->items[set->slots[i] - 1].name, name))
        i = (i + 1) & mask;
    return &set->slots[i];
}

static bool make_room(struct host_set *set)
{
    if (set->count < set->capacity)
        return true;
    uint32_t capacity = set->capacity ? set->capacity * 2 : 16;
    struct host *items = realloc(set->items, capacity * sizeof *items);
    if (items)
        set->items = items;
    uint32_t *slots = items ? calloc(capacity * 2, sizeof *slots) : NULL;
    if (!slots)
        return false;
    free(set->slots);
    set->slots = slots;
    set->slot_count = capacity * 2;
    set->capacity = capacity;
    for (uint32_t i = 0; i < set->count; i++)
        *find_slot(set, set->items[i].name) = i + 1;
    return true;
}

struct host *host_set_add(struct host_set *set, struct slice name)
{
    if (!make_room(set))
        return NULL;
    uint32_t *slot = find_slot(set, name);
    if (!*slot) {
        set->items[set->count] = (struct host){.name = name};
        *slot = ++set->count;
    }
    return &set->items[*slot - 1];
}

uint32_t host_set_find(const struct host_set *set, struct slice name)
{
    if (set->count == 0)
        return 0;
    uint32_t slot = *find_slot(set, name);
    return slot ? set->items[slot - 1].root : 0;
}

/* The state counts: 0 the exact host, then 1 + where the next suffix may begin, then SIZE_MAX. */
uint32_t hosts_next_root(const struct hosts *hosts, struct slice host, size_t *state)
{
    uint32_t root = 0;
    struct slice name = without_last_dot(host);
    if (name.size > HOST_SIZE_MAX && *state != SIZE_MAX)
        *state = name.size + 1;
    if (*state == 0) {
        *state = 1;
        root = host_set_find(&hosts->exact, name);
    }
    while (!root && *state <= name.size && hosts->wildcards.count > 0) {
        struct slice rest = slice_from(name, *state - 1);
        size_t dot = slice_find(rest, '.');
        *state = dot < rest.size ? *state + dot + 1 : name.size + 1;
        if (dot < rest.size)
            root = host_set_find(&hosts->wildcards, slice_from(rest, dot + 1));
    }
    if (!root && *state != SIZE_MAX) {
        *state = SIZE_MAX;
        root = hosts->any_root;
    }
    return root;
}
