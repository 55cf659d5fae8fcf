#include "service/outlier.h"

#include "service/mark.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LATENCY_HOSTS 3 /* of which a median says something */

static const struct metric_family panic_family = {"weir_service_panic",
    "1 while too few of a service's endpoints are well, so that all are asked.", METRIC_GAUGE,
    {"service"}};

void outlier_adopt(struct roster *roster)
{
    struct metrics *metrics = roster->plane->options.metrics;
    list_each (node, &roster->plane->rosters) {
        struct roster *other = list_entry(node, struct roster, node);
        if (other->options && slice_equal(other->service_name, roster->service_name))
            other->is_active = false;
    }
    if (metrics)
        roster->panic_series = metrics_series(metrics, &panic_family, &roster->service_name);
    roster->is_active = true;
}

/* --- statistics */

struct sample {
    uint64_t requests, failures, latency;
    bool is_eligible; /* has enough requests, and is not ejected */
};

/* What an endpoint did in the interval that ends now; the next one begins. */
static struct sample take_sample(struct endpoint *endpoint, const struct outlier_options *options)
{
    uint64_t requests = atomic_load_explicit(&endpoint->load.requests, memory_order_relaxed);
    uint64_t failures = atomic_load_explicit(&endpoint->load.failures, memory_order_relaxed);
    struct sample sample = {requests - endpoint->counted_requests,
        failures - endpoint->counted_failures, endpoint->least_latency, false};
    if (sample.failures > sample.requests)
        sample.failures = sample.requests;
    sample.is_eligible = sample.requests >= (uint64_t)options->requests &&
                         !(endpoint_reasons(endpoint) & DOWN_EJECTED);
    endpoint->counted_requests = requests;
    endpoint->counted_failures = failures;
    endpoint->least_latency = 0;
    return sample;
}

static double rate_of(const struct sample *sample)
{
    return 1 - (double)sample->failures / (double)sample->requests;
}

struct comparison {
    struct roster *roster;
    const struct endpoint_set *set;
    const struct outlier_options *options;
    struct sample *samples;
    uint32_t eligible;
};

static void eject(const struct comparison *c, uint32_t i, const char *reason)
{
    mark_eject(c->set, i, c->options, reason);
}

static void compare_success(const struct comparison *c)
{
    double sum = 0, squares = 0;
    char reason[64];
    if (c->options->deviation <= 0 || c->eligible < c->options->hosts)
        return;
    for (uint32_t i = 0; i < c->set->count; i++)
        sum += c->samples[i].is_eligible ? rate_of(&c->samples[i]) : 0;
    double mean = sum / c->eligible;
    for (uint32_t i = 0; i < c->set->count; i++) {
        double off = c->samples[i].is_eligible ? rate_of(&c->samples[i]) - mean : 0;
        squares += off * off;
    }
    double least = mean - c->options->deviation * sqrt(squares / c->eligible);
    for (uint32_t i = 0; i < c->set->count; i++) {
        if (!c->samples[i].is_eligible || rate_of(&c->samples[i]) >= least)
            continue;
        snprintf(reason, sizeof reason, "success rate %.1f %%, mean %.1f %%",
            rate_of(&c->samples[i]) * 100, mean * 100);
        eject(c, i, reason);
    }
}

static void compare_failures(const struct comparison *c)
{
    char reason[64];
    for (uint32_t i = 0; c->options->failure_share > 0 && i < c->set->count; i++) {
        const struct sample *sample = &c->samples[i];
        double share = 1 - (sample->requests ? rate_of(sample) : 1);
        if (sample->requests * 2 < (uint64_t)c->options->requests ||
            share < c->options->failure_share)
            continue;
        snprintf(reason, sizeof reason, "%.1f %% of its requests failed", share * 100);
        eject(c, i, reason);
    }
}

static int by_latency(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

/* The median of those that are eligible; 0 without memory, or when they are too few. */
static uint64_t median_latency(const struct comparison *c)
{
    uint64_t *sorted = calloc(c->eligible + 1, sizeof *sorted), median = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; sorted && i < c->set->count; i++)
        if (c->samples[i].is_eligible && c->samples[i].latency)
            sorted[count++] = c->samples[i].latency;
    if (count >= LATENCY_HOSTS) {
        qsort(sorted, count, sizeof *sorted, by_latency);
        median = sorted[(count - 1) / 2];
    }
    free(sorted);
    return median;
}

static void compare_latency(const struct comparison *c)
{
    char reason[64];
    uint64_t median = c->options->latency > 0 ? median_latency(c) : 0;
    for (uint32_t i = 0; median && i < c->set->count; i++) {
        const struct sample *sample = &c->samples[i];
        if (!sample->is_eligible ||
            (double)sample->latency < c->options->latency * (double)median ||
            sample->latency < median + (uint64_t)c->options->slower)
            continue;
        snprintf(reason, sizeof reason, "latency %lld ms, median %lld ms",
            (long long)(sample->latency / MILLISECOND), (long long)(median / MILLISECOND));
        eject(c, i, reason);
    }
}

/* After an interval in peace the next ejection is one step shorter. */
static void decay(struct endpoint *endpoint)
{
    uint32_t times = atomic_load_explicit(&endpoint->load.ejections, memory_order_relaxed);
    if (times && !(endpoint_reasons(endpoint) & DOWN_EJECTED))
        atomic_fetch_sub_explicit(&endpoint->load.ejections, 1, memory_order_relaxed);
}

static void compare(struct roster *roster, const struct endpoint_set *set)
{
    struct comparison c = {.roster = roster,
        .set = set,
        .options = &roster->options->outlier,
        .samples = calloc(set->count + 1, sizeof(struct sample))};
    if (!c.samples)
        return;
    for (uint32_t i = 0; i < set->count; i++) {
        c.samples[i] = take_sample(set->endpoints[i], c.options);
        c.eligible += c.samples[i].is_eligible;
        decay(set->endpoints[i]);
    }
    compare_success(&c);
    compare_failures(&c);
    compare_latency(&c);
    free(c.samples);
}

/* An average that was low once was low because of quick answers: its least value of an interval
 * says how slow an endpoint is at least. True when it has been asked since the last look. */
static bool look_at_latency(struct endpoint *endpoint)
{
    uint64_t requests = atomic_load_explicit(&endpoint->load.requests, memory_order_relaxed);
    uint64_t latency = atomic_load_explicit(&endpoint->load.good, memory_order_relaxed);
    if (requests == endpoint->looked_requests)
        return false;
    endpoint->looked_requests = requests;
    if (latency && (!endpoint->least_latency || latency < endpoint->least_latency))
        endpoint->least_latency = latency;
    return true;
}

/* --- panic */

void outlier_look_for_panic(struct roster *roster)
{
    const struct endpoint_set *set = roster_look(roster);
    uint32_t well = 0, all = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t reasons = endpoint_reasons(set->endpoints[i]);
        if (reasons & ~(uint32_t)DOWN_FORGIVABLE)
            continue; /* what somebody has said is no reason to panic, and stays */
        all++;
        well += reasons == 0;
    }
    bool has_others = set->slates[0].slate->group_count > 1; /* tiers or zones, to turn to */
    bool panics = (double)well < roster->options->panic * (double)all && (!has_others || well == 0);
    for (uint32_t i = 0; i < set->count; i++)
        (void)endpoint_set_down(set->endpoints[i], DOWN_FORGIVEN, panics);
    if (panics != roster->panics && roster->plane->options.metrics)
        metric_set(roster->plane->options.control_shard, roster->panic_series, panics);
    roster->panics = panics;
}

instant outlier_look(struct roster *roster, instant now)
{
    const struct outlier_options *options = &roster->options->outlier;
    const struct endpoint_set *set = roster_look(roster);
    instant due = NEVER;
    for (uint32_t i = 0; i < set->count; i++) {
        due = clock_sooner(due, mark_sweep(set->endpoints[i], options, now));
        if (look_at_latency(set->endpoints[i]))
            due = now;
    }
    if (!roster->outlier_due || now >= roster->outlier_due) {
        bool is_first = !roster->outlier_due;
        roster->outlier_due = now + options->every;
        if (!is_first)
            compare(roster, set);
    }
    outlier_look_for_panic(roster);
    return clock_sooner(due, roster->outlier_due);
}
