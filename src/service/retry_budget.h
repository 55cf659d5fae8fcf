/* Budgets of tries again: one a service, shared by all workers, kept across reloads by the
 * service's name.
 *
 * A try again is allowed while they are at most a share of the requests of the last ten seconds, or
 * few in any case. So a service that has failed for all is asked at most a fifth
 * more, however many clients ask; and when one of few endpoints dies under load, what was under way
 * there, which may be a third of all that is under way, can still be tried elsewhere: a share of
 * what is under way would not do for that. */
#pragma once

#include <stdatomic.h>

#include "base/clock.h"
#include "service/retry_options.h"

struct registry;

#define RETRY_BUDGET_SECONDS 10

struct retry_budget {
    _Atomic uint64_t requests, retries; /* ever */
    _Atomic int64_t second;             /* the newest that has begun */
    _Atomic uint32_t running;           /* tries again under way, their pauses included */
    struct {
        _Atomic uint64_t requests, retries; /* what these were when a second began */
    } before[RETRY_BUDGET_SECONDS];
};

/* Counted by the registry: registry_release. On the control thread. NO_MEMORY. */
enum status retry_budget_obtain(
    struct registry *registry, struct slice service, struct retry_budget **ret_budget);

void retry_budget_turn(struct retry_budget *budget, int64_t second);

/* A request begins. From any worker, as all that follows. */
static inline void retry_budget_note(struct retry_budget *budget, instant now)
{
    int64_t second = now / SECOND;
    if (atomic_load_explicit(&budget->second, memory_order_relaxed) != second)
        retry_budget_turn(budget, second);
    atomic_fetch_add_explicit(&budget->requests, 1, memory_order_relaxed);
}

/* True when there may be one more try, which is under way until retry_budget_return. */
bool retry_budget_take(
    struct retry_budget *budget, const struct budget_options *options, instant now);
void retry_budget_return(struct retry_budget *budget);

/* The same for one that was not made after all. */
void retry_budget_forgo(struct retry_budget *budget);

/* What was counted in the window that ends now. */
void retry_budget_window(
    struct retry_budget *budget, instant now, uint64_t *ret_requests, uint64_t *ret_retries);
