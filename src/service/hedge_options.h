/* What a service and a route say about hedging: `hedge`. Part of the snapshot. */
#pragma once

#include "config/option.h"
#include "service/retry_options.h"

/* When the second request goes: neither: never. */
struct hedge_after {
    double share; /* of the route's requests are faster: 0.95 is "p95" */
    int64_t time; /* nanoseconds, whatever the route's requests take */
};

/* What a route may say on its own. */
struct hedge_rule {
    struct hedge_after after;
    bool is_keyed;  /* any method, if the request has an Idempotency-Key */
    bool has_calls; /* calls of gRPC, too */
};

struct hedge_options {
    struct hedge_rule rule; /* first */
    bool is_set;
    struct budget_options budget;
    struct place place;
};

extern const struct option_table hedge_table;      /* of a service: struct hedge_options */
extern const struct option_table hedge_rule_table; /* of a route: struct hedge_rule */

static inline bool hedge_rule_is_on(const struct hedge_rule *rule)
{
    return rule->after.time > 0 || rule->after.share > 0;
}

#define HEDGE_TEXT_SIZE 64

/* "after p95", "after 50ms", or "off", which NULL is too. */
void hedge_explain(const struct hedge_rule *rule, struct text *text);
