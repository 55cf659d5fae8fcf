/* Trying again: whether an attempt that failed, or whose answer is one that nobody wants, is
 * followed by another one, and when.
 *
 *     retry_begin(&call->retry, call);
 *     attempt_run ...
 *     while (retry_wanted(call, attempt, e) && retry_take(call))
 *         a pause, another endpoint, attempt_run ...
 *     retry_end(&call->retry, call) */
#pragma once

#include "base/clock.h"
#include "base/status.h"
#include "service/retry_options.h"

struct attempt;
struct call;

struct retry {
    const struct retry_rule *rule; /* borrowed from the snapshot */
    int64_t made;                  /* tries again so far */
    int64_t pause;                 /* nanoseconds before the next one */
    bool has_slot;                 /* of the service's budget */
};

/* The route's rule, or the service's. */
void retry_begin(struct retry *retry, const struct call *call);

/* After attempt_run gave `e`: true when there should be one more try, after retry->pause. */
bool retry_wanted(struct call *call, const struct attempt *attempt, enum status e);

/* True when there may be: the request can be sent once more, and the budget has room. It is counted
 * then. */
bool retry_take(struct call *call);

/* No more tries. Again is harmless. */
void retry_end(struct retry *retry, const struct call *call);

/* True when the request has an Idempotency-Key. */
bool retry_has_key(const struct call *call);

/* True when the request may be sent twice whatever the endpoint has done with it. */
bool retry_is_harmless(const struct call *call);

/* True when it may be sent to whom it will, after an attempt that ended with `e`: nobody has done
 * anything with it, or that is harmless. */
bool retry_is_safe(const struct call *call, enum status e);

/* Before the nth try again (from 1): up to so many nanoseconds. */
int64_t retry_backoff_bound(const struct backoff_options *backoff, int64_t n);

/* What Retry-After asks for, nanoseconds; 0: nothing that can be understood. `wall`: nanoseconds
 * since 1970. */
int64_t retry_after_parse(struct slice value, int64_t wall);
