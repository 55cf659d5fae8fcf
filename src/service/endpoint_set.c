#include "service/endpoint_set.h"

#include "base/hash.h"
#include "service/grade.h"
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
    free(set->ids);
    free(set->cookies);
    free(set->entries);
    free(set->endpoints);
    free(set->members);
    free(set->weights);
    free(set->labels);
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
    set->weights = calloc(capacity + 1, sizeof *set->weights);
    set->labels = calloc(capacity + 1, sizeof *set->labels);
    if (set->entries && set->endpoints && set->members && set->weights && set->labels)
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

/* "region/zone", or a zone alone. Backups come behind all tiers that one can write. */
static struct standing standing_of(const struct endpoint_options *options)
{
    size_t slash = slice_find(options->zone, '/');
    struct standing standing = {
        .tier = (uint32_t)options->tier + (options->is_backup ? 1000 : 0), .zone = options->zone};
    if (slash < options->zone.size) {
        standing.region = slice_head(options->zone, slash);
        standing.zone = slice_from(options->zone, slash + 1);
    }
    return standing;
}

/* Which subset it belongs to. */
static uint64_t label_of(const struct roster *roster, const struct endpoint_options *options)
{
    const struct subset_options *subset = &roster->options->subset;
    for (size_t i = 0; subset->is_set && i < options->labels.count; i++)
        if (slice_equal(options->labels.entries[i].key, subset->label))
            return subset_id(*(const struct slice *)options->labels.entries[i].value);
    return 0;
}

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
        set->weights[i] += (float)options->weight;
        endpoint_drop(entry);
        return OK;
    }
    uint32_t i = set->count++;
    f->newcomers += is_new;
    set->entries[i] = entry;
    set->endpoints[i] = endpoint_of(entry);
    set->members[i].standing = standing_of(options);
    set->weights[i] = (float)options->weight;
    set->labels[i] = label_of(f->roster, options);
    set->members[i].candidate = (struct candidate){
        .load = &set->endpoints[i]->load, .id = hash_bytes(set->endpoints[i]->text), .place = i};
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
    grade_apply(set);
    return e;
}

/* --- slates */

uint64_t subset_id(struct slice value)
{
    uint64_t id = hash_bytes(value);
    return id ? id : 1;
}

static enum status add_slate(struct endpoint_set *set, const struct slate_options *options,
    uint64_t subset, const struct slate_member *members, uint32_t count)
{
    struct set_slate *one = &set->slates[set->slate_count];
    enum status e = slate_new(options, members, count, &one->slate);
    if (e)
        return e;
    one->subset = subset;
    one->state_offset = set->state_size;
    set->state_size += one->slate->state_size;
    set->slate_count++;
    return OK;
}

/* The members of one subset, among themselves. */
static enum status add_subset(struct endpoint_set *set, const struct slate_options *options,
    uint64_t subset, struct slate_member *room)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->labels[i] == subset)
            room[count++] = set->members[i];
    return add_slate(set, options, subset, room, count);
}

static struct slate_options slate_options_of(const struct roster *roster)
{
    const struct service_options *options = roster->options;
    struct endpoint_options own = {.zone = options->zone.own};
    struct slate_options slate = {.type = service_balancer(options),
        .settings = options->balance.settings,
        .rules = {.enough = options->spill,
            .own_share = options->zone.share,
            .zone_least = options->zone.least,
            .at_least = (uint32_t)options->zone.at_least},
        .own = standing_of(&own),
        .change = &roster->plane->change};
    slate.settings.slow_start = options->slow_start.time;
    slate.settings.aggression = options->slow_start.aggression;
    return slate;
}

static enum status make_slates(const struct roster *roster, struct endpoint_set *set)
{
    struct slate_options options = slate_options_of(roster);
    struct slate_member *room = calloc((size_t)set->count + 1, sizeof *room);
    set->slates = calloc((size_t)set->count + 1, sizeof *set->slates);
    enum status e = room && set->slates ? OK : NO_MEMORY;
    if (!e)
        e = add_slate(set, &options, 0, set->members, set->count);
    for (uint32_t i = 0; !e && i < set->count; i++)
        if (set->labels[i] && !endpoint_set_subset(set, set->labels[i]))
            e = add_subset(set, &options, set->labels[i], room);
    free(room);
    return e;
}

uint32_t endpoint_set_subset(const struct endpoint_set *set, uint64_t subset)
{
    for (uint32_t i = 1; i < set->slate_count; i++)
        if (set->slates[i].subset == subset)
            return i;
    return 0;
}

/* --- ids */

static int by_id(const void *one, const void *other)
{
    const struct set_id *a = one, *b = other;
    return a->id < b->id ? -1 : a->id > b->id;
}

static enum status make_ids(const struct roster *roster, struct endpoint_set *set)
{
    const struct sticky_options *sticky = &roster->options->sticky;
    if (!sticky->is_set)
        return OK;
    set->ids = calloc((size_t)set->count + 1, sizeof *set->ids);
    set->cookies = calloc((size_t)set->count + 1, sizeof *set->cookies);
    if (!set->ids || !set->cookies)
        return NO_MEMORY;
    for (uint32_t i = 0; i < set->count; i++) {
        uint64_t id = set->members[i].candidate.id;
        set->ids[i] = (struct set_id){id, i};
        sticky_sign(roster->plane, sticky, roster->service_name, id, set->cookies[i]);
    }
    qsort(set->ids, set->count, sizeof *set->ids, by_id);
    return OK;
}

uint32_t endpoint_set_find(const struct endpoint_set *set, uint64_t id, bool is_half)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->ids[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count)
        return PICK_NONE;
    uint64_t found = set->ids[low].id;
    return found == id || (is_half && found >> 32 == id >> 32) ? set->ids[low].place : PICK_NONE;
}

/* --- the whole */

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
    if (!e)
        e = make_ids(roster, set);
    if (e) {
        endpoint_set_free(set);
        return e;
    }
    *ret_set = set;
    return OK;
}

/* Each endpoint is kept once more. */
static enum status add_those_of(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set *set)
{
    enum status e = OK;
    bool is_new;
    for (uint32_t i = 0; !e && i < old->count; i++) {
        const struct endpoint *endpoint = old->endpoints[i];
        struct endpoint_key key = {
            endpoint->service_name, endpoint->text, endpoint->tls_name, &endpoint->address};
        e = endpoint_obtain(roster->plane, &key, &set->entries[i], &is_new);
        if (!e)
            set->endpoints[set->count++] = endpoint_of(set->entries[i]);
    }
    return e;
}

enum status endpoint_set_regrade(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set)
{
    struct endpoint_set *set = set_new(old->count);
    if (!set)
        return NO_MEMORY;
    set->trouble = old->trouble;
    enum status e = add_those_of(roster, old, set);
    memcpy(set->members, old->members, set->count * sizeof *set->members);
    memcpy(set->weights, old->weights, set->count * sizeof *set->weights);
    memcpy(set->labels, old->labels, set->count * sizeof *set->labels);
    grade_apply(set);
    if (!e)
        e = make_slates(roster, set);
    if (!e)
        e = make_ids(roster, set);
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
