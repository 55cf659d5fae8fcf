#include "service/retry_budget.h"

#include "base/registry.h"

#define RELAXED memory_order_relaxed

static const struct registry_kind kind = {
    .name = "retry-budget", .size = sizeof(struct retry_budget)};

enum status retry_budget_obtain(
    struct registry *registry, struct slice service, struct retry_budget **ret_budget)
{
    void *object;
    enum status e = registry_obtain(registry, &kind, service, NULL, &object);
    if (!e)
        *ret_budget = object;
    return e;
}

/* Who moves the second on writes down what had been counted when it began, and in those before it
 * that nobody saw. Others that count meanwhile may count a few into the wrong second. */
void retry_budget_turn(struct retry_budget *budget, int64_t second)
{
    int64_t last = atomic_load_explicit(&budget->second, RELAXED);
    if (last >= second || !atomic_compare_exchange_strong(&budget->second, &last, second))
        return;
    uint64_t requests = atomic_load_explicit(&budget->requests, RELAXED);
    uint64_t retries = atomic_load_explicit(&budget->retries, RELAXED);
    if (second - last > RETRY_BUDGET_SECONDS)
        last = second - RETRY_BUDGET_SECONDS;
    while (++last <= second) {
        size_t place = (size_t)last % RETRY_BUDGET_SECONDS;
        atomic_store_explicit(&budget->before[place].requests, requests, RELAXED);
        atomic_store_explicit(&budget->before[place].retries, retries, RELAXED);
    }
}

void retry_budget_window(
    struct retry_budget *budget, instant now, uint64_t *ret_requests, uint64_t *ret_retries)
{
    retry_budget_turn(budget, now / SECOND);
    size_t oldest = (size_t)(now / SECOND + 1) % RETRY_BUDGET_SECONDS;
    *ret_requests = atomic_load_explicit(&budget->requests, RELAXED) -
                    atomic_load_explicit(&budget->before[oldest].requests, RELAXED);
    *ret_retries = atomic_load_explicit(&budget->retries, RELAXED) -
                   atomic_load_explicit(&budget->before[oldest].retries, RELAXED);
}

bool retry_budget_take(
    struct retry_budget *budget, const struct budget_options *options, instant now)
{
    uint64_t requests, retries;
    retry_budget_window(budget, now, &requests, &retries);
    double share = options->share * (double)requests;
    double least = (double)(options->least * RETRY_BUDGET_SECONDS);
    if ((double)(retries + 1) > (share > least ? share : least))
        return false;
    atomic_fetch_add_explicit(&budget->running, 1, RELAXED);
    atomic_fetch_add_explicit(&budget->retries, 1, RELAXED);
    return true;
}

void retry_budget_return(struct retry_budget *budget)
{
    atomic_fetch_sub_explicit(&budget->running, 1, RELAXED);
}

void retry_budget_forgo(struct retry_budget *budget)
{
    atomic_fetch_sub_explicit(&budget->retries, 1, RELAXED);
    retry_budget_return(budget);
}
