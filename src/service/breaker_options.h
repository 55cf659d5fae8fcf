/* What `breaker:` of a service says: part of the snapshot. */
#pragma once

#include "config/option.h"

enum breaker_per { BREAKER_PER_SERVICE, BREAKER_PER_ENDPOINT };
enum breaker_half { BREAKER_BY_RAMP, BREAKER_BY_TRIAL };

struct breaker_options {
    bool is_set;
    int64_t open, longest; /* nanoseconds: the first time, and at most */
    double share;          /* of failures in the window that open it; 0: no share does */
    int64_t volume;        /* requests in the window without which no share says anything */
    int64_t window;        /* nanoseconds */
    int64_t in_a_row;      /* failures that open it; 0: no number does */
    double quantile;       /* of the answers in the window ... */
    int64_t above;         /* ... that opens it when it took longer; 0: none does */
    int64_t ramp;          /* nanoseconds from none to all */
    int half_open;         /* enum breaker_half */
    int per;               /* enum breaker_per */
};

extern const struct option_table breaker_table;

/* "open 10s if 50% of 20 fail or 5 in a row fail per endpoint": into what the defaults have filled.
 * INVALID, with a static text that says what is wrong, and where. */
enum status breaker_phrase_parse(struct slice text, struct breaker_options *ret_breaker,
    const char **ret_problem, struct slice *ret_where);
