#include "service/gradient.h"

#include <math.h>

#define RELAXED     memory_order_relaxed
#define SAMPLES_MIN 5 /* of a comparison: fewer say nothing, and wait for more */

/* --- samples */

/* The median of what was counted, which begins anew. Who calls is the only one who does. */
static int64_t take_median(struct gradient *gradient)
{
    uint32_t counts[HISTOGRAM_BUCKETS], all = 0, below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        all += counts[i] = atomic_exchange_explicit(&gradient->counts[i], 0, RELAXED);
    atomic_store_explicit(&gradient->samples, 0, RELAXED);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += counts[i];
        if (all && below * 2 >= all)
            return histogram_middle(i);
    }
    return 0;
}

/* --- measuring */

static bool is_due(_Atomic int64_t *due, instant now, instant next)
{
    int64_t old = atomic_load_explicit(due, RELAXED);
    return now >= old && atomic_compare_exchange_strong_explicit(due, &old, next, RELAXED, RELAXED);
}

static instant next_measurement(const struct gradient_options *options, instant now, uint64_t draw)
{
    double part = 1 + options->jitter * ((double)(draw >> 11) * 0x1p-53);
    return now + (int64_t)((double)options->every * part);
}

static void begin_measuring(
    struct gradient *gradient, const struct gradient_options *options, instant now)
{
    uint32_t limit = atomic_load_explicit(&gradient->limit, RELAXED);
    atomic_store_explicit(&gradient->found, limit, RELAXED);
    atomic_store_explicit(&gradient->limit, (uint32_t)options->least, RELAXED);
    (void)take_median(gradient);
    atomic_store_explicit(&gradient->measuring, now, RELAXED);
}

static void end_measuring(
    struct gradient *gradient, const struct gradient_options *options, instant began, instant now)
{
    if (!atomic_compare_exchange_strong_explicit(&gradient->measuring, &began, 0, RELAXED, RELAXED))
        return;
    uint32_t found = atomic_load_explicit(&gradient->found, RELAXED);
    atomic_store_explicit(&gradient->least_time, take_median(gradient), RELAXED);
    atomic_store_explicit(
        &gradient->limit, found > options->least ? found : (uint32_t)options->least, RELAXED);
    atomic_store_explicit(&gradient->compare_due, now + options->interval, RELAXED);
}

/* --- comparing */

static double bounded(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

static void compare(struct gradient *gradient, const struct gradient_options *options)
{
    double least = (double)atomic_load_explicit(&gradient->least_time, RELAXED);
    double limit = atomic_load_explicit(&gradient->limit, RELAXED);
    double peak = atomic_exchange_explicit(&gradient->peak, 0, RELAXED);
    double now = (double)take_median(gradient);
    if (now <= 0)
        return;
    double part = bounded(least * (1 + options->buffer) / now, 0.5, 2);
    double next = part * limit + sqrt(limit);
    if (next > limit && peak * 2 < limit)
        return; /* most of it is not made use of */
    next = bounded(next, (double)options->least, (double)options->most);
    atomic_store_explicit(&gradient->limit, (uint32_t)next, RELAXED);
}

/* --- */

uint32_t gradient_limit(
    struct gradient *gradient, const struct gradient_options *options, uint32_t in_flight)
{
    uint32_t limit = atomic_load_explicit(&gradient->limit, RELAXED);
    if (in_flight > atomic_load_explicit(&gradient->peak, RELAXED))
        atomic_store_explicit(&gradient->peak, in_flight, RELAXED);
    return limit ? limit : (uint32_t)options->least; /* nothing is known yet */
}

void gradient_answered(struct gradient *gradient, const struct gradient_options *options,
    instant began, instant now, uint64_t draw)
{
    if (is_due(&gradient->measure_due, now, next_measurement(options, now, draw))) {
        begin_measuring(gradient, options, now);
        return;
    }
    instant measuring = atomic_load_explicit(&gradient->measuring, RELAXED);
    if (measuring && began < measuring)
        return; /* others were under way with it */
    unsigned bucket = histogram_bucket(now - began);
    atomic_fetch_add_explicit(&gradient->counts[bucket], 1, RELAXED);
    uint32_t samples = atomic_fetch_add_explicit(&gradient->samples, 1, RELAXED) + 1;
    if (measuring && samples >= options->samples)
        end_measuring(gradient, options, measuring, now);
    else if (!measuring && samples >= SAMPLES_MIN &&
             is_due(&gradient->compare_due, now, now + options->interval))
        compare(gradient, options);
}
