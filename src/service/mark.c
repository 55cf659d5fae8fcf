#include "service/mark.h"

#include "run/loop.h"

#define FORGET_TIME \
    (5 * MINUTE)  /* after so long in peace the next ejection is as short as the first */
#define AVERAGE 8 /* a sample moves the average by one eighth of the difference */

#define RELAXED memory_order_relaxed

void mark_answered(struct endpoint *endpoint, int64_t nanoseconds)
{
    struct load *load = &endpoint->load;
    int64_t old = (int64_t)atomic_load_explicit(&load->latency, RELAXED);
    int64_t now = old ? old + (nanoseconds - old) / AVERAGE : nanoseconds;
    atomic_store_explicit(&load->latency, (uint64_t)now, RELAXED);
}

void mark_good(struct endpoint *endpoint)
{
    if (atomic_load_explicit(&endpoint->load.failures_in_row, RELAXED))
        atomic_store_explicit(&endpoint->load.failures_in_row, 0, RELAXED);
}

/* Two workers that eject at the same moment may together go over the share by one: nothing depends
 * on it. */
static bool may_eject(const struct view *view, double share)
{
    uint32_t ejected = 0;
    for (uint32_t i = 0; i < view->set->count; i++)
        ejected += (endpoint_reasons(view->set->endpoints[i]) & DOWN_EJECTED) != 0;
    if (ejected == 0 && view->set->count > 1 && share > 0)
        return true; /* a share of few may be less than one */
    return (double)(ejected + 1) <= share * (double)view->set->count;
}

void mark_failed(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason)
{
    struct endpoint *endpoint = view->set->endpoints[index];
    struct load *load = &endpoint->load;
    atomic_fetch_add_explicit(&load->failures, 1, RELAXED);
    uint32_t in_row = atomic_fetch_add_explicit(&load->failures_in_row, 1, RELAXED) + 1;
    if (options->failures == 0 || in_row < options->failures || !may_eject(view, options->share))
        return;
    int64_t times = atomic_fetch_add_explicit(&load->ejections, 1, RELAXED) + 1;
    int64_t longest = options->eject > options->longest ? options->eject : options->longest;
    int64_t duration = times > longest / options->eject ? longest : times * options->eject;
    atomic_store_explicit(&load->ejected_until, clock_after(loop_now(), duration), RELAXED);
    atomic_store_explicit(&load->failures_in_row, 0, RELAXED);
    if (endpoint_set_down(endpoint, DOWN_EJECTED, true))
        endpoint_note(endpoint, "ejected for %lld ms: %u × %s", (long long)(duration / MILLISECOND),
            in_row, reason);
}

void mark_sweep(struct endpoint *endpoint, instant now)
{
    struct load *load = &endpoint->load;
    instant until = atomic_load_explicit(&load->ejected_until, RELAXED);
    if (until == 0 || now < until)
        return;
    if (endpoint_set_down(endpoint, DOWN_EJECTED, false))
        endpoint_note(endpoint, "back after its ejection");
    if (now >= clock_after(until, FORGET_TIME)) {
        atomic_store_explicit(&load->ejections, 0, RELAXED);
        atomic_store_explicit(&load->ejected_until, 0, RELAXED);
    }
}
