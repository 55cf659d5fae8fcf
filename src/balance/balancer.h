/* Balancers: choosing one of a service's endpoints. One file an algorithm, listed in balancers.def.
 *
 * A balancer sees candidates and the request's hash key, and nothing else of a service. Its state
 * is one for each worker and service, so that picking takes no lock; loads that workers share are
 * read through the candidates. */
#pragma once

#include <stdatomic.h>

#include "base/random.h"
#include "base/slice.h"

/* What all workers share about an endpoint: one cache line of relaxed atomics (design.md §6). It
 * outlives snapshots. */
struct load {
    _Alignas(64) _Atomic uint32_t in_flight; /* requests, all workers */
    _Atomic uint32_t is_down;                /* bits of enum down_reason; 0: may be picked */
    _Atomic uint64_t latency;                /* moving average, nanoseconds */
    _Atomic uint64_t requests;               /* ever */
    _Atomic uint64_t failures;               /* ever */
    _Atomic int64_t ejected_until;           /* instant; 0: not ejected */
    _Atomic uint32_t failures_in_row;
    _Atomic uint32_t ejections; /* lately: how much longer the next one lasts */
    _Atomic uint32_t open;      /* connections, in use or idle */
};

enum down_reason { DOWN_CHECK = 1, DOWN_EJECTED = 2, DOWN_DRAINED = 4 };

struct candidate {
    struct load *load; /* borrowed */
    uint32_t weight;   /* 1 and up; 0: never picked */
};

struct pick {
    const struct candidate *candidates;
    uint32_t count;
    uint64_t hash;         /* of the request's hash key; 0 when the balancer has none */
    struct random *random; /* borrowed: the worker's */
    uint64_t tried; /* a bit for each of the first 64 candidates that is not to be picked: it failed
                       this request already */
};

#define PICK_NONE UINT32_MAX

struct balancer_type {
    const char *name;           /* "round-robin" */
    const char *help;           /* one line, a sentence */
    size_t state_size;          /* of one worker's state without candidates, bytes */
    size_t state_per_candidate; /* behind it, bytes for each */
    bool needs_hash;            /* "hash EXPRESSION": the key is required */
    /* The state is cleared before. Called anew, on a new state, when candidates come or go. NULL:
     * nothing to do. */
    void (*build)(void *state, const struct candidate *candidates, uint32_t count);
    /* The index of a candidate that is usable, or PICK_NONE. */
    uint32_t (*pick)(void *state, const struct pick *pick);
};

/* All of balancers.def, ends with NULL. */
extern const struct balancer_type *const balancer_types[];

/* NULL when there is none of that name. */
const struct balancer_type *balancer_type_of(struct slice name);

/* Bytes that one worker's state takes for so many candidates. */
static inline size_t balancer_state_size(const struct balancer_type *type, uint32_t count)
{
    return type->state_size + type->state_per_candidate * count;
}

/* True when the candidate may be picked at all: weight, health, not tried. */
static inline bool candidate_is_usable(const struct pick *pick, uint32_t index)
{
    const struct candidate *candidate = &pick->candidates[index];
    if (index < 64 && pick->tried >> index & 1)
        return false;
    return candidate->weight > 0 &&
           atomic_load_explicit(&candidate->load->is_down, memory_order_relaxed) == 0;
}
