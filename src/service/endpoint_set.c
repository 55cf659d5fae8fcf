#include "service/endpoint_set.h"

#include "base/hash.h"
#include "service/name_watch.h"
#include "service/roster.h"
#include "service/service_tls.h"

#include <stdlib.h>

void endpoint_set_free(struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        endpoint_drop(set->entries[i]);
    for (uint32_t i = 0; i < set->slate_count; i++)
        slate_free(set->slates[i].slate);
    free(set->slates);
    free(set->entries);
    free(set->endpoints);
    free(set->members);
    free(set);
}

static struct endpoint_set *set_new(size_t capacity)
{
    struct endpoint_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->entries = calloc(capacity + 1, sizeof *set->entries);
    set->endpoints = calloc(capacity + 1, sizeof *set->endpoints);
    set->members = calloc(capacity + 1, sizeof *set->members);
    if (set->entries && set->endpoints && set->members)
        return set;
    endpoint_set_free(set);
    return NULL;
}

/* --- endpoints */

struct filling {
    const struct roster *roster;
    struct endpoint_set *set;
    uint32_t newcomers; /* endpoints that were not known before */
};

/* An address that occurs twice (two names for it) is one endpoint with the weights of both. */
static enum status add(
    struct filling *f, const struct endpoint_key *key, const struct endpoint_options *options)
{
    struct endpoint_set *set = f->set;
    struct endpoint_entry *entry;
    bool is_new;
    enum status e = endpoint_obtain(f->roster->plane, key, &entry, &is_new);
    if (e)
        return e;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->entries[i] != entry)
            continue;
        set->members[i].candidate.weight += (uint32_t)options->weight;
        endpoint_drop(entry);
        return OK;
    }
    uint32_t i = set->count++;
    f->newcomers += is_new;
    set->entries[i] = entry;
    set->endpoints[i] = endpoint_of(entry);
    set->members[i].standing = options->standing;
    set->members[i].candidate = (struct candidate){.load = &set->endpoints[i]->load,
        .id = hash_bytes(set->endpoints[i]->text),
        .weight = (uint32_t)options->weight,
        .place = i};
    if (is_new)
        atomic_store_explicit(&set->endpoints[i]->load.risen, clock_now(), memory_order_relaxed);
    return OK;
}

static enum status add_resolved(struct filling *f, struct endpoint_key *key,
    const struct endpoint_options *options, const struct address *addresses, size_t count)
{
    enum status e = OK;
    for (size_t i = 0; !e && i < count; i++) {
        char room[ADDRESS_TEXT_MAX];
        struct text text = text_fixed(room, sizeof room);
        address_format(&addresses[i], &text);
        key->text = text_slice(&text);
        key->address = &addresses[i];
        e = add(f, key, options);
    }
    return e;
}

static enum status add_place(struct filling *f, const struct endpoint_options *options)
{
    const struct endpoint_place *at = &options->at;
    const struct address *addresses = &at->address;
    size_t count = 1;
    if (!at->text.size) /* it could not be read; who reads the options has complained */
        return OK;
    char room[ADDRESS_TEXT_MAX];
    struct endpoint_key key = {.service_name = f->roster->service_name,
        .text = at->text,
        .tls_name = service_tls_name(f->roster->options, at, room),
        .address = addresses};
    if (!at->name.size)
        return add(f, &key, options);
    (void)name_watch_look(f->roster, at->name, at->port, &addresses, &count);
    return add_resolved(f, &key, options, addresses, count);
}

static size_t count_addresses(const struct roster *roster, enum status *ret_trouble)
{
    const struct endpoint_options *items = roster->options->at.items;
    const struct address *addresses;
    size_t total = 0;
    *ret_trouble = OK;
    for (size_t i = 0; i < roster->options->at.count; i++) {
        size_t count = 1;
        enum status e = OK;
        if (items[i].at.name.size)
            e = name_watch_look(roster, items[i].at.name, items[i].at.port, &addresses, &count);
        if (e)
            *ret_trouble = e;
        total += count;
    }
    return total;
}

/* A newcomer starts slowly beside others; where all are new there is nobody to take its share. */
static void start_at_once(const struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        atomic_store_explicit(&set->endpoints[i]->load.risen, 0, memory_order_relaxed);
}

static enum status add_all(struct roster *roster, struct endpoint_set *set)
{
    const struct endpoint_options *items = roster->options->at.items;
    struct filling f = {roster, set, 0};
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++)
        e = add_place(&f, &items[i]);
    if (f.newcomers == set->count)
        start_at_once(set);
    return e;
}

/* --- slates */

static enum status add_slate(struct endpoint_set *set, const struct slate_options *options,
    const struct slate_member *members, uint32_t count)
{
    struct set_slate *one = &set->slates[set->slate_count];
    enum status e = slate_new(options, members, count, &one->slate);
    if (e)
        return e;
    one->state_offset = set->state_size;
    set->state_size += one->slate->state_size;
    set->slate_count++;
    return OK;
}

static enum status make_slates(const struct roster *roster, struct endpoint_set *set)
{
    const struct balance_options *balance = &roster->options->balance;
    struct slate_options options = {
        .type = balance->type, .settings = balance->settings, .change = &roster->plane->change};
    set->slates = calloc(1, sizeof *set->slates);
    return set->slates ? add_slate(set, &options, set->members, set->count) : NO_MEMORY;
}

enum status endpoint_set_build(struct roster *roster, struct endpoint_set **ret_set)
{
    enum status trouble;
    struct endpoint_set *set = set_new(count_addresses(roster, &trouble));
    if (!set)
        return NO_MEMORY;
    set->trouble = trouble;
    enum status e = add_all(roster, set);
    if (!e)
        e = make_slates(roster, set);
    if (e) {
        endpoint_set_free(set);
        return e;
    }
    *ret_set = set;
    return OK;
}

void endpoint_set_begin(const struct endpoint_set *set, char *state, struct random *random)
{
    for (uint32_t i = 0; i < set->slate_count; i++)
        slate_begin(set->slates[i].slate, state + set->slates[i].state_offset, random_next(random));
}
