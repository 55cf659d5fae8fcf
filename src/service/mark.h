/* Marking endpoints by what happens to requests there: passive outlier detection, and the averages
 * that balancers look at. */
#pragma once

#include "service/endpoint.h"
#include "service/roster.h"

/* A request got a head: how long that took. */
void mark_answered(struct endpoint *endpoint, int64_t nanoseconds);

/* The same of an answer that is a failure, or of none: it never makes the endpoint look fast. */
void mark_slow(struct endpoint *endpoint, int64_t nanoseconds);

/* Nobody waited for the answer any more after so long: neither good nor bad, but not fast. */
void mark_lasted(struct endpoint *endpoint, int64_t nanoseconds);

/* The endpoint did well: it begins anew. */
void mark_good(struct endpoint *endpoint);

/* A request failed there for `reason`, so that there was no answer, or one that a gateway makes
 * (502, 503, 504); too many in a row eject it, unless too many others are ejected. */
void mark_failed(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason);

/* The same for an answer that says of itself that it failed (500 and above). */
void mark_bad_answer(const struct view *view, uint32_t index, const struct outlier_options *options,
    const char *reason);

/* Ejects it if the options let one more be. */
void mark_eject(const struct endpoint_set *set, uint32_t index,
    const struct outlier_options *options, const char *reason);

/* Lets an ejected endpoint back when its time is over, on trial; when that will be, or NEVER. On
 * the control thread. */
instant mark_sweep(struct endpoint *endpoint, const struct outlier_options *options, instant now);
