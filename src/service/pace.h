/* Paces: how long the requests of one route take, for who wants to know when one takes unusually
 * long.
 *
 * A histogram that forgets: its counts halve every ten seconds. Shared by workers, as relaxed
 * atomics; what two of them do at the same moment may be lost, which a quantile can bear. */
#pragma once

#include "base/clock.h"
#include "base/histogram.h"
#include "base/slice.h"

#define PACE_LEAST 20 /* requests, before anything is said of them */

struct pace {
    struct pace *next;              /* in who owns it (hedging.h) */
    struct slice name;              /* of the route; behind the struct */
    double share;                   /* of requests that are faster than what pace_time says */
    _Atomic int64_t halved, looked; /* instants: of the last halving, and when `time` was found */
    _Atomic int64_t time;
    _Atomic uint32_t counts[HISTOGRAM_BUCKETS];
};

/* The name is copied. NULL: no memory. To be freed with free. */
struct pace *pace_new(struct slice name, double share);

/* A request took so long. From any thread. */
void pace_note(struct pace *pace, instant now, int64_t took);

/* What `share` of the requests do not exceed, nanoseconds; 0: too few were seen lately. Looked for
 * anew ten times a second. From any thread. */
int64_t pace_time(struct pace *pace, instant now);
