/* What clients get when a service cannot answer: another service's answer, or a fixed one. The
 * reason in the log and the metrics stays what failed.
 *
 * The order is: what is stale but better than nothing (a cache, which stands before services and
 * looks at the failure first), another service, a fixed answer, the failure itself. */
#pragma once

#include "config/option.h"
#include "http/exchange.h"

struct service;

enum fallback_cause {
    FALLBACK_BREAKER_OPEN,
    FALLBACK_NO_ENDPOINT,
    FALLBACK_FAILED, /* no try has brought an answer */
    FALLBACK_BUSY    /* no place, or every endpoint is overloaded */
};

struct fallback_options {
    bool is_set;
    struct slice to; /* a service; empty: the fixed answer */
    struct place to_place;
    int64_t status;
    struct slice body;
    struct option_map headers; /* of struct slice */
    struct option_list on;     /* of int: enum fallback_cause; empty: all */
};

extern const struct option_table fallback_table;

/* Finds the other service, after all of a file have been prepared: `find` gives NULL when there is
 * none of that name. Complains of that, and of circles. */
struct reader;
void fallback_link(struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument);

/* Who is asked instead of a service that has failed with `e`, where nothing has answers that could
 * be fixed: counted as a fallback. NULL: nobody. */
const struct service *fallback_instead(
    const struct service *service, enum status e, unsigned worker);

/* Answers instead of a service that has failed with `e`, or returns that. */
enum status fallback_answer(const struct service *service, struct exchange *x, enum status e);
