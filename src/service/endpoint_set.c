#include "service/endpoint_set.h"

#include "base/hash.h"
#include "service/endpoint_fill.h"
#include "service/found.h"
#include "service/grade.h"
#include "service/roster.h"

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
        .own = endpoint_standing(options->zone.own),
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

/* What follows from the endpoints; the set is given up when anything fails, or has failed. */
static enum status finish(
    struct roster *roster, enum status e, struct endpoint_set *set, struct endpoint_set **ret_set)
{
    grade_apply(set);
    if (!e)
        e = make_slates(roster, set);
    if (!e)
        e = make_series(roster, set);
    if (!e)
        e = make_ids(roster, set);
    if (e)
        endpoint_set_free(set);
    else
        *ret_set = set;
    return e;
}

enum status endpoint_set_build(
    struct roster *roster, const struct endpoint_set *old, struct endpoint_set **ret_set)
{
    enum status trouble;
    struct endpoint_set *set =
        set_new(endpoint_fill_count(roster, &trouble), roster->options->at.count);
    if (!set)
        return NO_MEMORY;
    set->trouble = trouble;
    set->limit = (uint32_t)roster->options->concurrency.endpoint;
    return finish(roster, endpoint_fill(roster, old, set), set, ret_set);
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
    return finish(roster, OK, set, ret_set);
}

void endpoint_set_begin(const struct endpoint_set *set, char *state, struct random *random)
{
    for (uint32_t i = 0; i < set->slate_count; i++)
        slate_begin(set->slates[i].slate, state + set->slates[i].state_offset, random_next(random));
}
