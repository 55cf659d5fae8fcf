/* Balancers: choosing one of a service's endpoints. One file an algorithm, listed in balancers.def.
 *
 *     slate       the endpoints of one moment, in groups: tiers, regions, zones (slate.h)
 *       group     those among whom an algorithm picks
 *         candidate
 *
 * An algorithm sees a group and the request's hash, and nothing else of a service. What surrounds
 * every algorithm is done once, around it: which group is asked (spread.h), and who of it will do
 * now (candidate_will_do: health, slow start, bounded load, what was tried already).
 *
 * Three kinds of data, by who may touch them:
 *
 *     a group's table   what the algorithm made of the group once (a ring, a table): immutable,
 *                       shared by all workers, made on the control thread
 *     a state           one for each worker and group, so that picking takes no lock
 *     loads             shared by all workers: relaxed atomics, outliving configurations */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/slice.h"
#include "base/status.h"

/* What all workers share about an endpoint: relaxed atomics (design.md §6). It outlives snapshots.
 */
struct load {
    /* One cache line that picking reads. */
    _Alignas(64) _Atomic uint32_t in_flight; /* requests, all workers */
    _Atomic uint32_t is_down;                /* bits of enum down_reason; 0: may be picked */
    _Atomic uint64_t latency;                /* moving average, nanoseconds; 0: not known */
    _Atomic uint64_t peak;                   /* the same, but what is slower counts at once */
    _Atomic int64_t measured;                /* instant at which both were last moved */
    _Atomic int64_t risen;     /* instant from which it may be picked; 0: since the beginning */
    _Atomic uint64_t requests; /* ever */

    /* One that it does not. */
    _Alignas(64) _Atomic uint64_t failures; /* ever */
    _Atomic int64_t ejected_until;          /* instant; 0: not ejected */
    _Atomic uint32_t failures_in_row;
    _Atomic uint32_t ejections; /* lately: how much longer the next one lasts */
    _Atomic uint32_t open;      /* connections, in use or idle */
    _Atomic uint64_t good;      /* moving average of good answers alone, nanoseconds */
};

enum down_reason { DOWN_CHECK = 1, DOWN_EJECTED = 2, DOWN_DRAINED = 4 };

struct candidate {
    struct load *load; /* borrowed */
    uint64_t id;       /* of the address: the same in every process, whoever else there is */
    float weight;      /* its part, beside the others'; 0: never picked */
    uint32_t limit;    /* requests in flight that it may have; 0: any number */
    uint32_t place;    /* among all endpoints of the service */
};

/* What a configuration may say about picking; each algorithm reads what concerns it. */
struct balance_settings {
    int64_t choices;    /* how many are compared */
    double bias;        /* how strongly requests in flight count, where weights differ */
    int64_t points;     /* of a ring, for a weight of 1 */
    int64_t most;       /* of a ring, points in all; 0: 1048576 */
    int64_t slots;      /* of a Maglev table */
    double bound;       /* of the average load, for hashes: 1.25; 0: any load */
    int64_t slow_start; /* nanoseconds until a newcomer gets its whole share; 0: at once */
    double aggression;  /* how its share grows: 1 evenly, more: faster at first */
};

struct group {
    const struct candidate *candidates; /* borrowed */
    uint32_t count;
    bool is_weighted; /* the weights differ */
    const struct balance_settings *settings;
    void *table; /* owned: what the type's `build` has made, or NULL */
};

struct pick {
    const struct group *group;
    struct random *random; /* borrowed: the worker's */
    uint64_t hash;         /* of the request's hash key; 0 when the balancer has none */
    instant now;
    const uint32_t *tried; /* places that failed this request already */
    uint32_t tried_count;
    bool is_choosy; /* not everybody who is up will do: what follows counts too */
    bool is_easy;   /* … but neither slow start nor bound: else there would be nobody; a limit
                       holds nevertheless */
    double bound;   /* requests in flight for a weight of 1, at most; 0: any number */
};

#define PICK_NONE UINT32_MAX

struct balancer_type {
    const char *name;           /* "round-robin" */
    const char *help;           /* one line, a sentence */
    size_t state_size;          /* of one worker's state without candidates, bytes */
    size_t state_per_candidate; /* behind it, bytes for each */
    bool needs_hash;            /* "ring-hash EXPRESSION" */
    const char *key;            /* of needs_hash: the expression when none is written, or NULL */
    /* Makes the group's table, which is not empty. On the control thread. NULL: there is none. */
    enum status (*build)(const struct group *group, void **ret_table);
    void (*release)(void *table); /* what build made; NULL: there is none */
    /* Readies a state, which is cleared before; `seed` differs from worker to worker. Called anew,
     * on a new state, when candidates come or go. NULL: nothing to do. */
    void (*begin)(void *state, const struct group *group, uint64_t seed);
    /* The index in the group of a candidate that will do, or PICK_NONE. */
    uint32_t (*pick)(void *state, const struct pick *pick);
};

/* All of balancers.def, ends with NULL. */
extern const struct balancer_type *const balancer_types[];

/* Their names in the same order. */
extern const char *const balancer_names[];

/* NULL when there is none of that name. */
const struct balancer_type *balancer_type_of(struct slice name);

/* Bytes that one worker's state takes for so many candidates; a multiple of 16. */
static inline size_t balancer_state_size(const struct balancer_type *type, uint32_t count)
{
    return (type->state_size + type->state_per_candidate * count + 15) & ~(size_t)15;
}

/* True when nothing but its health and weight is asked. */
static inline bool candidate_is_up(const struct candidate *candidate)
{
    return candidate->weight > 0 &&
           atomic_load_explicit(&candidate->load->is_down, memory_order_relaxed) == 0;
}

static inline uint32_t candidate_in_flight(const struct candidate *candidate)
{
    return atomic_load_explicit(&candidate->load->in_flight, memory_order_relaxed);
}

/* The part of its weight that counts now, 0.1 to 1: slow start. */
double candidate_share(
    const struct candidate *candidate, const struct balance_settings *settings, instant now);

/* The rest of candidate_will_do. */
bool candidate_is_admitted(const struct pick *pick, const struct candidate *candidate);

/* True when it may have no more requests. Workers that look at the same moment may together go
 * over the limit by one each. */
static inline bool candidate_is_full(const struct candidate *candidate)
{
    return candidate->limit && candidate_in_flight(candidate) >= candidate->limit;
}

/* True when it may be picked now: it has a weight and is up, has not been tried, its slow start
 * lets it, and it is not at its limit or bound. */
static inline bool candidate_will_do(const struct pick *pick, uint32_t index)
{
    const struct candidate *candidate = &pick->group->candidates[index];
    return candidate_is_up(candidate) &&
           (!pick->is_choosy || candidate_is_admitted(pick, candidate));
}
