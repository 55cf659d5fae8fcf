#include "service/endpoint_set.h"

#include "base/hash.h"
#include "service/finder.h"
#include "service/grade.h"
#include "service/reports.h"
#include "service/roster.h"
#include "service/service_tls.h"

#include <stdlib.h>

void endpoint_set_free(struct endpoint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        endpoint_drop(set->entries[i]);
    for (uint32_t i = 0; i < set->count; i++)
        found_unref(set->founds[i]);
    for (uint32_t i = 0; i < set->slate_count; i++)
        slate_free(set->slates[i].slate);
    free(set->slates);
    free(set->series);
    free(set->ids);
    free(set->cookies);
    free(set->entries);
    free(set->endpoints);
    free(set->founds);
    free(set->begins);
    free(set->members);
    free(set->weights);
    free(set->labels);
    free(set);
}

static struct endpoint_set *set_new(size_t capacity, size_t items)
{
    struct endpoint_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->entries = calloc(capacity + 1, sizeof *set->entries);
    set->endpoints = calloc(capacity + 1, sizeof *set->endpoints);
    set->founds = calloc(capacity + 1, sizeof *set->founds);
    set->begins = calloc(items + 1, sizeof *set->begins);
    set->members = calloc(capacity + 1, sizeof *set->members);
    set->weights = calloc(capacity + 1, sizeof *set->weights);
    set->labels = calloc(capacity + 1, sizeof *set->labels);
    if (set->entries && set->endpoints && set->founds && set->begins && set->members &&
        set->weights && set->labels)
        return set;
    endpoint_set_free(set);
    return NULL;
}

/* --- endpoints */

struct filling {
    struct roster *roster;
    const struct endpoint_set *old; /* NULL: all are to be looked up */
    struct endpoint_set *set;
    uint32_t build;
    uint32_t newcomers; /* endpoints that were not known before */
    uint32_t at, end;   /* the places in the old set that the present item has */
};

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

/* "region/zone", or a zone alone. */
static struct standing standing_in(struct slice place)
{
    size_t slash = slice_find(place, '/');
    struct standing standing = {.zone = place};
    if (slash < place.size) {
        standing.region = slice_head(place, slash);
        standing.zone = slice_from(place, slash + 1);
    }
    return standing;
}

/* Backups come behind all tiers that one can write. */
static struct standing standing_of(const struct part *part)
{
    struct standing standing = standing_in(zone_of(part));
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

static size_t count_endpoints(const struct roster *roster, enum status *ret_trouble)
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

static enum status add_all(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set *set)
{
    struct filling f = {roster, old, set, ++roster->plane->builds, 0, 0, 0};
    enum status e = OK;
    for (size_t i = 0; !e && i < roster->options->at.count; i++)
        e = add_item(&f, i);
    set->begins[roster->options->at.count] = set->count;
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
    struct slate_options slate = {.type = service_balancer(options),
        .settings = options->balance.settings,
        .rules = {.enough = options->spill,
            .own_share = options->zone.share,
            .zone_least = options->zone.least,
            .at_least = (uint32_t)options->zone.at_least},
        .own = standing_in(options->zone.own),
        .change = &roster->plane->change,
        .risen = &roster->plane->risen};
    slate.settings.slow_start = service_rise_time(options);
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

/* --- tiers and zones, as they are counted */

static const struct metric_family zone_family = {"weir_zone_requests_total",
    "Requests and connections by the zone of the endpoint that was chosen for them.",
    METRIC_COUNTER, {"service", "zone"}};
static const struct metric_family spilled_family = {"weir_spilled_requests_total",
    "Requests and connections that went to another zone, to another region or to a later tier.",
    METRIC_COUNTER, {"service", "to"}};

/* Whither a request goes that is sent there, if that is not where it should; else null. */
static struct slice spilled_to(const struct standing *own, const struct standing *standing)
{
    bool has_zone = own->zone.size || own->region.size;
    if (standing->tier > 0)
        return SLICE("tier");
    if (has_zone && !slice_equal(own->region, standing->region))
        return SLICE("region");
    return has_zone && !slice_equal(own->zone, standing->zone) ? SLICE("zone") : SLICE_NONE;
}

static void add_set_series(const struct roster *roster, struct set_series *series,
    const struct standing *own, const struct standing *standing)
{
    struct metrics *metrics = roster->plane->options.metrics;
    char room[256];
    struct text zone = text_fixed(room, sizeof room);
    text_format(&zone, "%.*s%s%.*s", SLICE_ARG(standing->region), standing->region.size ? "/" : "",
        SLICE_ARG(standing->zone));
    struct slice labels[] = {roster->service_name, text_slice(&zone)};
    struct slice spilled[] = {roster->service_name, spilled_to(own, standing)};
    if (own->zone.size || own->region.size)
        series->zone = metrics_series(metrics, &zone_family, labels);
    if (spilled[1].size)
        series->spilled = metrics_series(metrics, &spilled_family, spilled);
}

static enum status make_series(const struct roster *roster, struct endpoint_set *set)
{
    const struct standing own = slate_options_of(roster).own;
    bool has_any = own.zone.size || own.region.size;
    for (uint32_t i = 0; i < set->count; i++)
        has_any = has_any || set->members[i].standing.tier;
    if (!has_any || !roster->plane->options.metrics)
        return OK;
    set->series = calloc((size_t)set->count + 1, sizeof *set->series);
    if (!set->series)
        return NO_MEMORY;
    for (uint32_t i = 0; i < set->count; i++)
        add_set_series(roster, &set->series[i], &own, &set->members[i].standing);
    return OK;
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

enum status endpoint_set_build(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set)
{
    enum status trouble;
    struct endpoint_set *set =
        set_new(count_endpoints(roster, &trouble), roster->options->at.count);
    if (!set)
        return NO_MEMORY;
    set->trouble = trouble;
    set->limit = (uint32_t)roster->options->concurrency.endpoint;
    enum status e = add_all(roster, old, set);
    if (!e)
        e = make_slates(roster, set);
    if (!e)
        e = make_series(roster, set);
    if (!e)
        e = make_ids(roster, set);
    if (e) {
        endpoint_set_free(set);
        return e;
    }
    *ret_set = set;
    return OK;
}

/* All are kept once more. */
static void add_those_of(
    const struct roster *roster, const struct endpoint_set *old, struct endpoint_set *set)
{
    for (uint32_t i = 0; i < old->count; i++) {
        endpoint_keep(old->entries[i]);
        if (old->founds[i])
            found_ref(old->founds[i]);
    }
    set->count = old->count;
    set->limit = (uint32_t)roster->options->concurrency.endpoint;
    set->trouble = old->trouble;
    memcpy(set->entries, old->entries, set->count * sizeof *set->entries);
    memcpy(set->endpoints, old->endpoints, set->count * sizeof(struct endpoint *));
    memcpy(set->founds, old->founds, set->count * sizeof(struct found *));
    memcpy(set->begins, old->begins, (roster->options->at.count + 1) * sizeof *set->begins);
    memcpy(set->members, old->members, set->count * sizeof *set->members);
    memcpy(set->weights, old->weights, set->count * sizeof *set->weights);
    memcpy(set->labels, old->labels, set->count * sizeof *set->labels);
}

enum status endpoint_set_regrade(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set)
{
    struct endpoint_set *set = set_new(old->count, roster->options->at.count);
    if (!set)
        return NO_MEMORY;
    add_those_of(roster, old, set);
    grade_apply(set);
    enum status e = make_slates(roster, set);
    if (!e)
        e = make_series(roster, set);
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
