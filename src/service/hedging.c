#include "service/hedging.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/json_writer.h"
#include "base/registry.h"
#include "service/service_state.h"

#define PACES_MAX 4096

static void release(void *object)
{
    struct hedging *hedging = object;
    for (size_t i = 0; i < HEDGING_BUCKETS; i++) {
        struct pace *pace = atomic_load_explicit(&hedging->buckets[i], memory_order_relaxed);
        while (pace) {
            struct pace *next = pace->next;
            free(pace);
            pace = next;
        }
    }
}

static const struct registry_kind kind = {
    .name = "hedging", .size = sizeof(struct hedging), .release = release};

enum status hedging_obtain(
    struct registry *registry, struct slice service, struct hedging **ret_hedging)
{
    void *object;
    enum status e = registry_obtain(registry, &kind, service, NULL, &object);
    if (!e)
        *ret_hedging = object;
    return e;
}

static struct pace *find(struct pace *pace, struct slice route, double share)
{
    while (pace && (pace->share < share || pace->share > share || !slice_equal(pace->name, route)))
        pace = pace->next;
    return pace;
}

/* A place among the most; given back with the process' end alone. */
static bool has_room(struct hedging *hedging)
{
    if (atomic_load_explicit(&hedging->count, memory_order_relaxed) >= PACES_MAX)
        return false;
    atomic_fetch_add_explicit(&hedging->count, 1, memory_order_relaxed);
    return true;
}

struct pace *hedging_pace(struct hedging *hedging, struct slice route, double share)
{
    _Atomic(struct pace *) *bucket = &hedging->buckets[hash_bytes(route) % HEDGING_BUCKETS];
    struct pace *first = atomic_load_explicit(bucket, memory_order_acquire);
    struct pace *known = find(first, route, share);
    struct pace *pace = !known && has_room(hedging) ? pace_new(route, share) : NULL;
    while (pace) {
        pace->next = first;
        if (atomic_compare_exchange_strong_explicit(
                bucket, &first, pace, memory_order_release, memory_order_acquire))
            return pace;
        known = find(first, route, share);
        if (!known)
            continue;
        free(pace); /* another worker was faster */
        pace = NULL;
    }
    return known;
}

/* --- for people */

static void describe_pace(struct pace *pace, struct json_writer *w)
{
    int64_t time = pace_time(pace, clock_now());
    json_write_object(w);
    json_put_text(w, "route", pace->name);
    json_put_double(w, "percentile", pace->share * 100);
    if (time)
        json_put_double(w, "after_seconds", (double)time / (double)SECOND);
    else
        json_put_null(w, "after_seconds");
    json_write_object_end(w);
}

static void describe_paces(struct hedging *hedging, struct json_writer *w)
{
    json_put_array(w, "routes");
    for (size_t i = 0; i < HEDGING_BUCKETS; i++)
        for (struct pace *pace = atomic_load_explicit(&hedging->buckets[i], memory_order_acquire);
             pace; pace = pace->next)
            describe_pace(pace, w);
    json_write_array_end(w);
}

void hedging_describe(const struct service *service, struct json_writer *w)
{
    const struct hedge_options *options = &service->options->hedge;
    struct hedging *hedging = service->hedging;
    char room[HEDGE_TEXT_SIZE];
    struct text text = text_fixed(room, sizeof room);
    uint64_t requests, hedges;
    retry_budget_window(&hedging->budget, clock_now(), &requests, &hedges);
    if (!service->hedge && !requests)
        return;
    hedge_explain(service->hedge, &text);
    json_put_object(w, "hedge");
    json_put_text(w, "policy", text_slice(&text));
    json_put_double(w, "budget_share", options->budget.share);
    json_put_i64(w, "budget_least", options->budget.least);
    json_put_u64(w, "requests", requests);
    json_put_u64(w, "hedges", hedges);
    json_put_u64(
        w, "running", atomic_load_explicit(&hedging->budget.running, memory_order_relaxed));
    describe_paces(hedging, w);
    json_write_object_end(w);
}
