#include "service/endpoint_fill.h"

#include "base/hash.h"
#include "service/finder.h"
#include "service/reports.h"
#include "service/roster.h"
#include "service/service_tls.h"

/* --- what one endpoint is made of */

struct standing endpoint_standing(struct slice place)
{
    size_t slash = slice_find(place, '/');
    struct standing standing = {.zone = place};
    if (slash < place.size) {
        standing.region = slice_head(place, slash);
        standing.zone = slice_from(place, slash + 1);
    }
    return standing;
}

/* What one endpoint is made of: what is said under `at`, and what a source has found. */
struct part {
    const struct endpoint_options *options;
    struct found *found; /* NULL: an endpoint as it is written */
};

static struct slice zone_of(const struct part *part)
{
    return part->found && part->found->finding.zone.size ? part->found->finding.zone
                                                         : part->options->zone;
}

/* Backups come behind all tiers that one can write. */
static struct standing standing_of(const struct part *part)
{
    struct standing standing = endpoint_standing(zone_of(part));
    standing.tier = (uint32_t)part->options->tier + (part->options->is_backup ? 1000 : 0);
    if (part->found)
        standing.tier += part->found->finding.tier;
    return standing;
}

static float weight_of(const struct part *part)
{
    float weight = (float)part->options->weight;
    return part->found ? weight * (float)part->found->finding.weight : weight;
}

/* What is written holds where the source says nothing. */
static struct slice label_value(const struct part *part, struct slice label)
{
    const struct option_map *labels = &part->options->labels;
    for (size_t i = 0; part->found && i < part->found->finding.label_count; i++)
        if (slice_equal(part->found->finding.labels[i].key, label))
            return part->found->finding.labels[i].value;
    for (size_t i = 0; i < labels->count; i++)
        if (slice_equal(labels->entries[i].key, label))
            return *(const struct slice *)labels->entries[i].value;
    return SLICE_NONE;
}

/* Which subset it belongs to. */
static uint64_t label_of(const struct roster *roster, const struct part *part)
{
    const struct subset_options *subset = &roster->options->subset;
    if (!subset->is_set)
        return 0;
    struct slice value = label_value(part, subset->label);
    return value.data ? subset_id(value) : 0;
}

/* --- the endpoint itself */

struct filling {
    struct roster *roster;
    const struct endpoint_set *old; /* NULL: all are to be looked up */
    struct endpoint_set *set;
    uint32_t build;
    uint32_t newcomers; /* endpoints that were not known before */
    uint32_t at, end;   /* the places in the old set that the present item has */
};

/* The old set has the endpoints of an item in the same order. */
static struct endpoint_entry *find_old(struct filling *f, const struct part *part)
{
    while (f->at < f->end) {
        const struct found *old = f->old->founds[f->at];
        if (old == part->found)
            return f->old->entries[f->at];
        int order = old && part->found ? slice_compare(old->text, part->found->text) : -1;
        if (order > 0)
            return NULL;
        if (order == 0 && slice_equal(old->finding.name, part->found->finding.name))
            return f->old->entries[f->at];
        f->at++;
    }
    return NULL;
}

static enum status obtain(
    struct filling *f, const struct part *part, struct endpoint_entry **ret_entry, bool *ret_is_new)
{
    const struct endpoint_place *at = &part->options->at;
    const struct address *address = part->found ? &part->found->finding.address : &at->address;
    struct slice name = part->found ? part->found->finding.name : SLICE_NONE;
    struct endpoint_entry *old = find_old(f, part);
    char room[ADDRESS_TEXT_MAX];
    *ret_is_new = false;
    if (old) {
        endpoint_keep(old);
        *ret_entry = old;
        return OK;
    }
    const struct endpoint_key key = {.service_name = f->roster->service_name,
        .text = part->found ? part->found->text : at->text,
        .tls_name = service_tls_name(f->roster->options, name, address, room),
        .address = address};
    return endpoint_obtain(f->roster->plane, &key, ret_entry, ret_is_new);
}

static void show_trouble(struct endpoint *endpoint, const struct part *part)
{
    struct slice trouble = part->found ? part->found->finding.trouble : SLICE_NONE;
    if (!endpoint_set_down(endpoint, DOWN_SOURCE, trouble.size > 0))
        return;
    if (trouble.size)
        endpoint_note(endpoint, "down: %.*s", SLICE_ARG(slice_head(trouble, 90)));
    else
        endpoint_note(endpoint, "up: its source says so");
}

static void put(struct filling *f, const struct part *part, struct endpoint_entry *entry)
{
    struct endpoint_set *set = f->set;
    struct endpoint *endpoint = endpoint_of(entry);
    uint32_t i = set->count++;
    endpoint->build = f->build;
    endpoint->place = i;
    set->entries[i] = entry;
    set->endpoints[i] = endpoint;
    set->founds[i] = part->found;
    if (part->found)
        found_ref(part->found);
    set->members[i].standing = standing_of(part);
    set->labels[i] = label_of(f->roster, part);
    set->weights[i] = weight_of(part);
    set->members[i].candidate =
        (struct candidate){.load = &endpoint->load, .id = hash_bytes(endpoint->text), .place = i};
    if (f->roster->options->reports.is_on)
        reports_expect(endpoint);
    show_trouble(endpoint, part);
}

static enum status prepare(const struct service_options *options, struct endpoint *endpoint)
{
    const struct breaker_options *breaker = &options->breaker;
    if (breaker->is_set && breaker->per == BREAKER_PER_ENDPOINT)
        return endpoint_add_breaker(endpoint);
    return OK;
}

/* An address that occurs twice (two names for it) is one endpoint with the weights of both. */
static enum status add(struct filling *f, const struct part *part)
{
    struct endpoint_entry *entry;
    bool is_new;
    enum status e = obtain(f, part, &entry, &is_new);
    if (e)
        return e;
    struct endpoint *endpoint = endpoint_of(entry);
    if (endpoint->build == f->build) {
        f->set->weights[endpoint->place] += weight_of(part);
        endpoint_drop(entry);
        return OK;
    }
    e = prepare(f->roster->options, endpoint);
    if (e) {
        endpoint_drop(entry);
        return e;
    }
    put(f, part, entry);
    f->newcomers += is_new;
    if (is_new && f->roster->options->slow_start.is_set)
        endpoint_rise(endpoint);
    return OK;
}

static enum status add_item(struct filling *f, size_t number)
{
    struct part part = {
        (const struct endpoint_options *)f->roster->options->at.items + number, NULL};
    f->set->begins[number] = f->set->count;
    f->at = f->old ? f->old->begins[number] : 0;
    f->end = f->old ? f->old->begins[number + 1] : 0;
    if (!part.options->at.text
             .size) /* it could not be read; who reads the options has complained */
        return OK;
    if (!part.options->at.source)
        return add(f, &part);
    const struct finder *finder = finder_watch_find(f->roster, part.options);
    enum status e = OK;
    for (size_t i = 0; finder && !e && i < finder_found(finder)->count; i++) {
        part.found = finder_found(finder)->items[i];
        e = add(f, &part);
    }
    return e;
}

/* --- all of them */

size_t endpoint_fill_count(const struct roster *roster, enum status *ret_trouble)
{
    const struct endpoint_options *items = roster->options->at.items;
    size_t total = 0;
    *ret_trouble = OK;
    for (size_t i = 0; i < roster->options->at.count; i++) {
        const struct finder *finder = finder_watch_find(roster, &items[i]);
        if (finder && finder_outcome(finder))
            *ret_trouble = finder_outcome(finder);
        total += finder ? finder_found(finder)->count : 1;
    }
    return total;
}

/* A newcomer starts slowly beside others; where all are new there is nobody to take its share. */
static void start_at_once(const struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        atomic_store_explicit(&set->endpoints[i]->load.risen, 0, memory_order_relaxed);
}

enum status endpoint_fill(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set *set)
{
    struct filling f = {roster, old, set, ++roster->plane->builds, 0, 0, 0};
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++)
        e = add_item(&f, i);
    set->begins[roster->options->at.count] = set->count;
    if (f.newcomers == set->count)
        start_at_once(set);
    return e;
}
