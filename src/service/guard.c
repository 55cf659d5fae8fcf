#include "service/guard.h"

#include <stdlib.h>

static const struct metric_family waiting_family = {"weir_service_waiting",
    "Requests that wait for a place at a busy service.", METRIC_GAUGE, {"service"}};
static const struct metric_family wait_family = {"weir_service_wait_seconds",
    "How long requests waited for a place at a busy service, those that did.", METRIC_HISTOGRAM,
    {"service"}};

static const struct metric_family in_flight_family = {"weir_service_in_flight",
    "Requests under way at a service whose number is limited.", METRIC_GAUGE, {"service"}};
static const struct metric_family limit_family = {"weir_service_concurrency_limit",
    "How many requests may be under way at a service, as found from how long it takes.",
    METRIC_GAUGE, {"service"}};

static void add_series(struct guard *guard)
{
    struct metrics *metrics = guard->plane->options.metrics;
    if (!metrics)
        return;
    guard->waiting_series = metrics_series(metrics, &waiting_family, &guard->name);
    guard->in_flight_series = metrics_series(metrics, &in_flight_family, &guard->name);
    guard->wait_series = metrics_series(metrics, &wait_family, &guard->name);
}

void guards_collect(struct service_plane *plane)
{
    list_each (node, &plane->guards) {
        const struct guard *guard = list_entry(node, struct guard, node);
        metric_set(plane->options.control_shard, guard->waiting_series,
            atomic_load_explicit(&guard->queue.waiting, memory_order_relaxed));
        metric_set(plane->options.control_shard, guard->in_flight_series,
            atomic_load_explicit(&guard->in_flight, memory_order_relaxed));
        if (guard->limit_series)
            metric_set(plane->options.control_shard, guard->limit_series,
                atomic_load_explicit(&guard->gradient->limit, memory_order_relaxed));
    }
}

static void free_guard(struct guard *guard)
{
    history_release(&guard->history);
    queue_release(&guard->queue);
    free(guard->gradient);
    free(guard->admission);
    free(guard->rollout);
    free(guard->trial);
    free((char *)guard->name.data);
    free(guard);
}

static struct guard *new_guard(struct service_plane *plane, struct slice name)
{
    struct guard *guard = aligned_alloc(64, (sizeof *guard + 63) & ~(size_t)63);
    char *copy = malloc(name.size + 1);
    if (!guard || !copy) {
        free(guard);
        free(copy);
        return NULL;
    }
    *guard = (struct guard){.plane = plane, .name = slice_of(copy, name.size)};
    memcpy(copy, name.data, name.size);
    enum status e = history_init(&guard->history);
    if (!e)
        e = queue_init(&guard->queue, plane, plane->options.workers);
    if (!e) {
        add_series(guard);
        return guard;
    }
    free(copy);
    free(guard);
    return NULL;
}

struct guard *guard_obtain(struct service_plane *plane, struct slice name)
{
    struct guard *guard = table_get(&plane->guard_names, name);
    if (guard)
        return guard;
    guard = new_guard(plane, name);
    if (!guard)
        return NULL;
    if (table_put(&plane->guard_names, guard->name, guard)) {
        free_guard(guard);
        return NULL;
    }
    pthread_mutex_lock(&plane->mutex);
    list_push_back(&plane->guards, &guard->node);
    pthread_mutex_unlock(&plane->mutex);
    return guard;
}

enum status guard_adapt(struct guard *guard)
{
    struct metrics *metrics = guard->plane->options.metrics;
    if (guard->gradient)
        return OK;
    struct gradient *gradient = calloc(1, sizeof *gradient);
    if (!gradient)
        return NO_MEMORY;
    pthread_mutex_lock(&guard->plane->mutex);
    guard->gradient = gradient;
    guard->limit_series = metrics ? metrics_series(metrics, &limit_family, &guard->name) : 0;
    pthread_mutex_unlock(&guard->plane->mutex);
    return OK;
}

enum status guard_admit(struct guard *guard)
{
    if (!guard->admission)
        guard->admission = calloc(1, sizeof *guard->admission);
    return guard->admission ? OK : NO_MEMORY;
}

void guards_free(struct service_plane *plane)
{
    list_each (node, &plane->guards)
        free_guard(list_entry(node, struct guard, node));
    table_release(&plane->guard_names);
}

void guard_note(struct guard *guard, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    history_note(&guard->history, format, arguments);
    va_end(arguments);
}
