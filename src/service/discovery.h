/* Discovery: where the endpoints of a service are, as somebody else knows it: DNS, a file, a
 * registry. One file a kind of source, listed in discoveries.def.
 *
 *     at: [10.0.0.1:80, consul://user]           an endpoint as it is, and a source
 *
 * A source follows whoever knows on a fiber of the control thread and reports all that it finds,
 * each time, whole (finder.h); what is done with it, and what when the source goes away, is no
 * business of its own.
 *
 * To add one: `src/service/discover_<name>.c` with a struct discovery, and a line in
 * discoveries.def. Its options begin with a struct source_options and its table's rows with
 * SOURCE_ROWS, which all sources have. */
#pragma once

#include "config/option.h"
#include "service/found.h"

struct finder;

struct source_options {
    int64_t grace; /* nanoseconds */
};

#define SOURCE_ROWS                                                                              \
    {                                                                                            \
        "grace", OPTION_DURATION, offsetof(struct source_options, grace),                        \
            .fallback = "10m", .minimum = 0, .maximum = 30 * DAY,                                \
            .help =                                                                              \
                "How long the last endpoints stay when the source says that there are none, or " \
                "none that is well, which is a mistake more often than not; 0s: not at all. "    \
                "While "                                                                         \
                "the source does not answer they stay as long as it takes."                      \
    }

struct discovery {
    const char *scheme;               /* "consul": what stands before "://" */
    const char *form;                 /* "consul://SERVICE" */
    const char *help;                 /* one line, a sentence */
    const struct option_table *table; /* its struct begins with a struct source_options */

    /* Looks at what stands behind "://" (finder_rest) and at the options, which it may complete;
     * complains at `place`. The reader's arena lives as long as the source. OK, INVALID, NO_MEMORY.
     * Or NULL. */
    enum status (*prepare)(
        struct finder *finder, struct reader *reader, struct place place, void *options);

    /* Follows the source: reports whenever it knows all, waits for changes, and returns when it can
     * no longer, having said why (finder_complain). It is called again after a while. Must return
     * soon after a wait has returned CANCELLED. The status is why: UPSTREAM_DNS and
     * UPSTREAM_DNS_TIMEOUT are what requests get as long as nothing was found. */
    enum status (*follow)(struct finder *finder, void *options);

    /* Lets go of what `prepare` made, not of the arena. Or NULL. */
    void (*release)(void *options);
};

/* All of discoveries.def, ends with NULL. */
extern const struct discovery *const discoveries[];

/* Names and ports without a scheme are its business too. */
extern const struct discovery dns_discovery;

/* Whose scheme the text begins with; `*ret_rest` is what stands behind "://". NULL: nobody's. */
const struct discovery *discovery_of(struct slice text, struct slice *ret_rest);
