#include "service/mark.h"

#include "balance/latency.h"
#include "run/loop.h"

#include <stdio.h>

#define RELAXED memory_order_relaxed

void mark_answered(struct endpoint *endpoint, int64_t nanoseconds)
{
    latency_answered(&endpoint->load, nanoseconds, loop_now());
}

void mark_slow(struct endpoint *endpoint, int64_t nanoseconds)
{
    latency_failed(&endpoint->load, nanoseconds, loop_now());
}

void mark_lasted(struct endpoint *endpoint, int64_t nanoseconds)
{
    latency_lasted(&endpoint->load, nanoseconds, loop_now());
}

void mark_good(struct endpoint *endpoint)
{
    if (!atomic_load_explicit(&endpoint->load.failures_in_row, RELAXED))
        return;
    atomic_store_explicit(&endpoint->load.failures_in_row, 0, RELAXED);
    atomic_store_explicit(&endpoint->gateway_failures_in_row, 0, RELAXED);
}

/* Two that eject at the same moment may together go over the share by one: nothing depends on it.
 */
static bool may_eject(const struct endpoint_set *set, double share)
{
    uint32_t ejected = 0;
    for (uint32_t i = 0; i < set->count; i++)
        ejected += (endpoint_reasons(set->endpoints[i]) & DOWN_EJECTED) != 0;
    if (ejected == 0 && set->count > 1 && share > 0)
        return true; /* a share of few may be less than one */
    return (double)(ejected + 1) <= share * (double)set->count;
}

void mark_eject(const struct endpoint_set *set, uint32_t index,
    const struct outlier_options *options, const char *reason)
{
    struct endpoint *endpoint = set->endpoints[index];
    if (endpoint_reasons(endpoint) & DOWN_EJECTED || !may_eject(set, options->share))
        return;
    struct load *load = &endpoint->load;
    int64_t times = atomic_fetch_add_explicit(&load->ejections, 1, RELAXED) + 1;
    int64_t longest = options->eject > options->longest ? options->eject : options->longest;
    int64_t duration = times > longest / options->eject ? longest : times * options->eject;
    atomic_store_explicit(&load->ejected_until, clock_after(loop_now(), duration), RELAXED);
    atomic_store_explicit(&load->failures_in_row, 0, RELAXED);
    atomic_store_explicit(&endpoint->gateway_failures_in_row, 0, RELAXED);
    if (!endpoint_set_down(endpoint, DOWN_EJECTED, true))
        return;
    endpoint_note(endpoint, "ejected for %lld ms: %s", (long long)(duration / MILLISECOND), reason);
    atomic_fetch_add_explicit(&endpoint->ejected, 1, RELAXED);
}

static void eject_after(const struct view *view, uint32_t index,
    const struct outlier_options *options, uint32_t in_row, const char *reason)
{
    char text[64];
    snprintf(text, sizeof text, "%u × %s", in_row, reason);
    mark_eject(view->set, index, options, text);
}

void mark_bad_answer(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason)
{
    struct load *load = &view->set->endpoints[index]->load;
    atomic_fetch_add_explicit(&load->failures, 1, RELAXED);
    uint32_t in_row = atomic_fetch_add_explicit(&load->failures_in_row, 1, RELAXED) + 1;
    if (options->failures && in_row >= options->failures)
        eject_after(view, index, options, in_row, reason);
}

void mark_failed(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason)
{
    struct endpoint *endpoint = view->set->endpoints[index];
    uint32_t in_row = atomic_fetch_add_explicit(&endpoint->gateway_failures_in_row, 1, RELAXED) + 1;
    if (options->gateway_failures && in_row >= options->gateway_failures)
        eject_after(view, index, options, in_row, reason);
    mark_bad_answer(view, index, options, reason);
}

instant mark_sweep(struct endpoint *endpoint, const struct outlier_options *options, instant now)
{
    struct load *load = &endpoint->load;
    instant until = atomic_load_explicit(&load->ejected_until, RELAXED);
    if (until == 0)
        return NEVER;
    if (now < until)
        return until;
    atomic_store_explicit(&load->ejected_until, 0, RELAXED);
    if (!(endpoint_reasons(endpoint) & DOWN_EJECTED))
        return NEVER;
    if (options->failures > 1) /* on trial: one more failure is one too many, a success ends it */
        atomic_store_explicit(&load->failures_in_row, (uint32_t)options->failures - 1, RELAXED);
    endpoint_set_down(endpoint, DOWN_EJECTED, false);
    endpoint_note(endpoint, "back after its ejection, on trial");
    return NEVER;
}
