/* A limit, for the files limit*.c: what it is configured with, and what it counts with.
 *
 *     limit.c             the policy: options, preparing, the way of most requests
 *     limit_choice.c      which algorithm it has
 *     limit_count.c       counting, by this gateway or in a store
 *     limit_held.c        what requests hold until they end
 *     limit_lease.c       for how long a store believes that
 *     limit_ledger.c      settling with the store now and then
 *     limit_cost.c        what a request costs
 *     limit_reading.c     reading bodies along for that
 *     limit_stack.c       several limits of one request, and what becomes of it above one
 *     limit_over.c        how that is configured
 *     limit_line.c        who waits
 *     limit_answer.c      what clients are told */
#pragma once

#include "config/expression.h"
#include "policy/limit_answer.h"
#include "policy/limit_line.h"
#include "policy/limit_over.h"
#include "policy/limit_reading.h"
#include "policy/limit_shared.h"
#include "policy/limit_table.h"
#include "policy/policy.h"

/* What became of a request at a limit: the label `decision` of the metric. */
enum limit_outcome {
    LIMIT_OUTCOME_PASSED,
    LIMIT_OUTCOME_REFUSED,
    LIMIT_OUTCOME_DELAYED,   /* passed, after it had waited until there was room */
    LIMIT_OUTCOME_QUEUED,    /* the same, in a queue */
    LIMIT_OUTCOME_TARPITTED, /* refused, late */
    LIMIT_OUTCOME_LOGGED,    /* passed, although it was too much */
    LIMIT_OUTCOME_DEGRADED,  /* the same, to another service */
    LIMIT_OUTCOME_SHADOWED,  /* passed, since the limit is only tried out */
    LIMIT_OUTCOME_RETURNED,  /* passed here, but another limit has refused it: counted nowhere */
    LIMIT_OUTCOME_ABANDONED, /* its client went away while it waited */
    LIMIT_OUTCOMES
};

struct limit_plan {
    struct slice name;
    struct rate rate;
    struct limit_rule rule;
    struct limit_quota quota;
    struct limit_words words;
};

/* One that is written as a rate alone is a list of one. */
struct limit_plans {
    struct limit_plan *items; /* in the snapshot's arena */
    size_t count;
    const struct limit_plan *otherwise; /* the one called "else", or the only one */
    bool is_concurrency; /* not rates, but how many at once: the rates' `per` is the lease */
};

struct limit_ledger;
struct limit_leases;
struct service_plane;

/* What survives reloads, shared by all workers. */
struct limit_state {
    struct limit_table *table;   /* owned */
    struct limit_lines *lines;   /* owned */
    struct limit_ledger *ledger; /* owned; NULL: each request is settled at once */
    struct limit_leases *leases; /* owned; NULL: nothing is held in a store */
    _Atomic int64_t held;        /* by a tarpit */
    _Atomic int64_t delayed;     /* by the algorithm */
};

struct limit {
    struct limit_plans plans;
    struct expression *per;
    struct expression *by; /* or NULL */
    int algorithm_index;   /* of limit_algorithms; used when `has_algorithm` */
    bool has_algorithm;
    const struct limit_algorithm *algorithm;
    struct expression *cost;    /* NULL: 1 */
    bool is_settled_later;      /* the cost is known when all is sent */
    int64_t reserve;            /* what is taken until then */
    struct limit_bodies bodies; /* what is read for it */
    int64_t burst;              /* 0: as many as the rate's count */
    int64_t hold;               /* nanoseconds that one may be held whom the algorithm delays */
    int64_t held_max;           /* how many may be so at a time */
    bool has_hold, has_held_max;
    int64_t keys;
    int64_t lease; /* nanoseconds that what is held counts in a store */
    bool has_lease;
    int64_t settle; /* nanoseconds between settlements with the store; 0: at once */
    bool has_fields;
    bool is_shared;
    bool is_shadow;
    bool is_plain;      /* nothing but: passes, or is refused at once */
    int if_unavailable; /* enum limit_if_unavailable */
    struct limit_over over;
    struct limit_shared shared;
    struct slice name;         /* as answers call it */
    struct slice label;        /* as logs and metrics do: "limits.login" */
    struct limit_state *state; /* counted by the registry */
    struct metrics_shard *const *shards;
    uint32_t outcomes[LIMIT_OUTCOMES]; /* series, as what follows */
    uint32_t alone, waiting, unknown;
    uint32_t in_use, not_returned, not_renewed; /* of what is held */
    struct service_plane *plane;                /* borrowed; NULL: there are no workers */
};

extern const struct option_table limit_options;
extern const struct policy_type limit_policy;

static inline void limit_count_outcome(
    const struct limit *limit, unsigned worker, enum limit_outcome outcome)
{
    metric_add(limit->shards[worker], limit->outcomes[outcome], 1);
}

const struct limit_plan *limit_plan_of(const struct limit *limit, struct exchange *x);
