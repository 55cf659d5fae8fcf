/* Marking endpoints by what happens to requests there: passive outlier detection, and the averages
 * that balancers look at. */
#pragma once

#include "service/endpoint.h"
#include "service/roster.h"

#define MARK_SWEEP_EVERY (500 * MILLISECOND)

/* A request got a head: how long that took. A status of 502, 503 or 504 counts as a failure too,
 * but that is the caller's to say. */
void mark_answered(struct endpoint *endpoint, int64_t nanoseconds);

/* The endpoint did well: it begins anew. */
void mark_good(struct endpoint *endpoint);

/* A request failed there for `reason`; too many in a row eject it, unless too many others are
 * ejected. */
void mark_failed(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason);

/* Lets an ejected endpoint back when its time is over. On the control thread. */
void mark_sweep(struct endpoint *endpoint, instant now);
