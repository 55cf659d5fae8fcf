#include "service/name_watch.h"

#include "run/resolver.h"
#include "service/errand.h"
#include "service/roster.h"

#include <stdlib.h>

#define RESOLVE_TIMEOUT (5 * SECOND)
#define RETRY_AFTER     (2 * SECOND) /* when it failed */
#define TTL_MOST        HOUR

/* A name and what is known of it; kept by the registry. */
struct name_entry {
    struct service_plane *plane;
    struct slice name; /* owned */
    uint16_t port;
    struct address *addresses; /* owned */
    size_t count;
    enum status outcome;   /* of the newest try; INCOMPLETE before the first */
    struct list watches;   /* who wants to know */
    struct errand *errand; /* resolves it; NULL: has not been started */
};

struct name_recipe {
    struct service_plane *plane;
    struct slice name;
    uint16_t port;
};

static enum status init_entry(void *object, void *context)
{
    struct name_entry *entry = object;
    const struct name_recipe *recipe = context;
    char *copy = malloc(recipe->name.size + 1);
    if (!copy)
        return NO_MEMORY;
    memcpy(copy, recipe->name.data, recipe->name.size);
    entry->plane = recipe->plane;
    entry->name = slice_of(copy, recipe->name.size);
    entry->port = recipe->port;
    entry->outcome = INCOMPLETE;
    list_init(&entry->watches);
    return OK;
}

static void release_entry(void *object)
{
    struct name_entry *entry = object;
    errand_stop(&entry->errand);
    free((char *)entry->name.data);
    free(entry->addresses);
}

static const struct registry_kind name_kind = {
    "name", sizeof(struct name_entry), init_entry, release_entry};

static void tell(struct name_entry *entry)
{
    list_each (node, &entry->watches)
        roster_update(list_entry(node, struct name_watch, name_node)->roster);
}

/* The order in which a server gives them means nothing. */
static bool has_address(const struct address *addresses, size_t count, const struct address *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (address_equal(&addresses[i], wanted))
            return true;
    return false;
}

static bool is_same(const struct name_entry *entry, const struct resolved *resolved)
{
    if (entry->outcome || entry->count != resolved->count)
        return false;
    for (size_t i = 0; i < resolved->count; i++)
        if (!has_address(entry->addresses, entry->count, &resolved->addresses[i]))
            return false;
    return true;
}

static void take_addresses(struct name_entry *entry, const struct resolved *resolved)
{
    if (is_same(entry, resolved))
        return;
    struct address *copy = calloc(resolved->count, sizeof *copy);
    if (!copy)
        return;
    memcpy(copy, resolved->addresses, resolved->count * sizeof *copy);
    free(entry->addresses);
    entry->addresses = copy;
    entry->count = resolved->count;
    entry->outcome = OK;
    tell(entry);
}

/* The last addresses stay; the outcome matters only where there are none. */
static void take_failure(struct name_entry *entry, enum status e)
{
    enum status outcome = e == TIMEOUT ? UPSTREAM_DNS_TIMEOUT : UPSTREAM_DNS;
    if (entry->outcome == outcome || entry->count > 0)
        return;
    entry->outcome = outcome;
    tell(entry);
}

/* Once; CANCELLED: the entry may have gone. */
static enum status resolve_once(struct name_entry *entry, instant *ret_next)
{
    struct arena arena;
    struct resolved resolved = {0};
    struct resolver *resolver = plane_resolver(entry->plane);
    arena_init(&arena, 0, 0);
    enum status e = IO_ERROR;
    if (resolver)
        e = resolver_resolve(
            resolver, entry->name, entry->port, &arena, loop_now() + RESOLVE_TIMEOUT, &resolved);
    *ret_next = loop_now() + RETRY_AFTER;
    if (errand_is_stopped()) {
        e = CANCELLED;
    } else if (e == OK) {
        // cppcheck-suppress uninitStructMember
        *ret_next = loop_now() + (resolved.ttl < TTL_MOST ? resolved.ttl : TTL_MOST);
        take_addresses(entry, &resolved);
    } else if (e != CANCELLED) {
        take_failure(entry, e);
    }
    arena_release(&arena);
    return e == CANCELLED ? e : OK;
}

static void keep_resolving(void *owner)
{
    instant next;
    while (resolve_once(owner, &next) == OK && fiber_sleep_until(next) == OK)
        ;
}

enum status name_watch_add(struct roster *roster, struct slice name, uint16_t port)
{
    struct name_recipe recipe = {roster->plane, name, port};
    char room[300];
    struct text key = text_fixed(room, sizeof room);
    text_add(&key, name);
    text_add_char(&key, ':');
    text_add_u64(&key, port);
    struct name_watch *watch = calloc(1, sizeof *watch);
    void *entry = NULL;
    enum status e = watch ? OK : NO_MEMORY;
    if (!e)
        e = registry_obtain(
            roster->plane->options.registry, &name_kind, text_slice(&key), &recipe, &entry);
    if (e) {
        free(watch);
        return e;
    }
    watch->name = entry;
    watch->roster = roster;
    list_push_back(&roster->watches, &watch->node);
    list_push_back(&watch->name->watches, &watch->name_node);
    return OK;
}

void name_watch_remove_all(struct roster *roster)
{
    list_each (node, &roster->watches) {
        struct name_watch *watch = list_entry(node, struct name_watch, node);
        list_remove(&watch->node);
        list_remove(&watch->name_node);
        registry_release(watch->name);
        free(watch);
    }
}

void name_watch_start_all(struct roster *roster)
{
    list_each (node, &roster->watches) {
        struct name_entry *entry = list_entry(node, struct name_watch, node)->name;
        errand_start(roster->plane->options.control_loop, keep_resolving, entry, &entry->errand);
    }
}

enum status name_watch_look(const struct roster *roster, struct slice name, uint16_t port,
    const struct address **ret_addresses, size_t *ret_count)
{
    *ret_addresses = NULL;
    *ret_count = 0;
    list_each (node, &roster->watches) {
        const struct name_entry *entry = list_entry(node, struct name_watch, node)->name;
        if (entry->port != port || !slice_equal(entry->name, name))
            continue;
        *ret_addresses = entry->addresses;
        *ret_count = entry->count;
        return entry->count ? OK : entry->outcome;
    }
    return INCOMPLETE;
}
