/* Adaptive concurrency: how many requests a service does well with at a time, found from how long
 * it takes. Free of I/O; shared by workers as relaxed atomics.
 *
 * From time to time few requests are let through at a time, and the median of their times is what
 * the service takes when nobody has to wait there. Afterwards, each interval, the median of what
 * it takes now is compared with that:
 *
 *     gradient = least · (1 + buffer) / now         between 0.5 and 2
 *     limit    = gradient · limit + √limit
 *
 * so that the limit grows while nothing waits, and shrinks when it does. It does not grow while it
 * is not made use of: nothing would be known of what is above. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/histogram.h"

struct gradient_options {
    int64_t most;     /* the limit, at most */
    int64_t least;    /* at least, and while it is measured */
    int64_t samples;  /* of a measurement */
    int64_t every;    /* nanoseconds from one measurement to the next; ... */
    double jitter;    /* ... a part of it more, by chance: gateways are not to measure at once */
    double buffer;    /* the part that an answer may take longer */
    int64_t interval; /* nanoseconds from one comparison to the next */
};

struct gradient {
    _Atomic uint32_t limit;     /* now */
    _Atomic uint32_t found;     /* the limit before the measurement under way */
    _Atomic int64_t least_time; /* nanoseconds; 0: not known yet */
    _Atomic int64_t measuring;  /* the instant at which the measurement began; 0: none is */
    _Atomic int64_t measure_due, compare_due;
    _Atomic uint32_t samples; /* in `counts` */
    _Atomic uint32_t peak; /* requests that were under way at a time, since the last comparison */
    _Atomic uint32_t counts[HISTOGRAM_BUCKETS];
};

/* How many may be under way now, at least 1. `in_flight`: so many are, with the one that asks. */
uint32_t gradient_limit(
    struct gradient *gradient, const struct gradient_options *options, uint32_t in_flight);

/* A request that began then was answered. `draw`: a random number. */
void gradient_answered(struct gradient *gradient, const struct gradient_options *options,
    instant began, instant now, uint64_t draw);
