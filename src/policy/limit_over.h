/* What becomes of a request that a limit has no room for: `over` of a limit.
 *
 *     over: refuse             429, at once
 *     over: delay 2s           waits, if it knows that its turn comes in time
 *     over: queue 100 for 2s   waits, and is refused when its time is over
 *     over: tarpit 10s         429, but late
 *     over: log                passes, and is counted and logged
 *     over: {to: cheap}        passes, to another service
 *     over: {respond: {…}}     is answered, as a route that says so would; also redirect and files
 *
 * Who waits holds a fiber, so not more than `size` do so at a time, of all keys and workers. */
#pragma once

#include "config/option.h"
#include "http/exchange.h"

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
    int64_t time;                                       /* nanoseconds */
    const struct node *to, *respond, *redirect, *files; /* one of them, of LIMIT_OVER_DEGRADE; else
                                                         * NULL */
    struct handler instead;                             /* made of it */
};

extern const struct option_table limit_over_table;

/* What a degraded request gets: the key of a route and its value. */
struct slice limit_over_key(const struct limit_over *over, const struct node **ret_value);

/* How `explain` puts it: "waits up to 2s". */
const char *limit_over_words(const struct limit_over *over);

static inline bool limit_over_waits(const struct limit_over *over)
{
    return over->action == LIMIT_OVER_DELAY || over->action == LIMIT_OVER_QUEUE;
}
