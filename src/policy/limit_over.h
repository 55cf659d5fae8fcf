/* What becomes of a request that a limit has no room for: `over` of a limit.
 *
 *     over: refuse             429, at once
 *     over: delay 2s           waits, if it knows that its turn comes in time
 *     over: queue 100 for 2s   waits, and is refused when its time is over
 *     over: tarpit 10s         429, but late
 *     over: log                passes, and is counted and logged
 *     over: {to: cheap}        passes, to another service
 *
 * Who waits holds a fiber, so not more than `size` do so at a time, of all keys and workers. */
#pragma once

#include "config/option.h"

struct service;

enum limit_action {
    LIMIT_OVER_REFUSE,
    LIMIT_OVER_DELAY,
    LIMIT_OVER_QUEUE,
    LIMIT_OVER_TARPIT,
    LIMIT_OVER_LOG,
    LIMIT_OVER_DEGRADE
};

struct limit_over {
    int action; /* enum limit_action */
    bool has_action;
    int64_t size;
    int64_t time; /* nanoseconds */
    struct slice to;
    struct place to_place;
    const struct service *service; /* borrowed from the snapshot; of LIMIT_OVER_DEGRADE */
};

extern const struct option_table limit_over_table;

/* How `explain` puts it: "waits up to 2s". */
const char *limit_over_words(const struct limit_over *over);

static inline bool limit_over_waits(const struct limit_over *over)
{
    return over->action == LIMIT_OVER_DELAY || over->action == LIMIT_OVER_QUEUE;
}
