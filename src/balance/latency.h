/* How fast an endpoint answers, as balancers see it: two averages in its load, which fade while
 * nobody asks it, so that who once was slow is tried again.
 *
 * Time for both is the same: after LATENCY_MEMORY an old value counts 1/e. `latency` goes up and
 * down alike; `peak` goes up at once to what is slower, and down slowly. A failure counts as slow
 * and never as fast, however soon it came. */
#pragma once

#include "balance/balancer.h"

#define LATENCY_MEMORY  (10 * SECOND)
#define LATENCY_UNKNOWN (10 * MILLISECOND) /* of who was never asked */
#define LATENCY_FAILURE SECOND             /* what a failure counts, at least */

/* An answer took so long, at the instant `now`. */
void latency_answered(struct load *load, int64_t nanoseconds, instant now);

/* An answer was not waited for any more after so long: it would have taken longer. */
void latency_lasted(struct load *load, int64_t nanoseconds, instant now);

/* A failure took so long. */
void latency_failed(struct load *load, int64_t nanoseconds, instant now);

/* What picking an endpoint costs that answers after `average` (0: not known) and has so many
 * requests in flight. Who is not known is asked once, to know it, and then counts as
 * LATENCY_UNKNOWN until it has answered. */
static inline double latency_cost(double average, uint32_t in_flight)
{
    if (average == 0)
        average = in_flight ? LATENCY_UNKNOWN : 0;
    return average * (in_flight + 1.0);
}

/* What the averages have come to by now, nanoseconds, at least 1; 0: not known. */
double latency_average(const struct load *load, instant now);
double latency_peak(const struct load *load, instant now);
