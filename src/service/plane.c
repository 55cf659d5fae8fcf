#include "service/plane.h"

#include "base/random.h"
#include "run/resolver.h"
#include "run/tls.h"
#include "service/breakers.h"
#include "service/check_command.h"
#include "service/endpoint_metrics.h"
#include "service/guard.h"
#include "service/roster.h"
#include "service/finder.h"
#include "service/instances.h"

#include <stdlib.h>

#define SERVICES_EVER 65536

bool plane_post(struct service_plane *plane, unsigned worker, struct message *message)
{
    pthread_mutex_lock(&plane->mutex);
    bool is_here = !plane->has_left[worker];
    if (is_here)
        mailbox_post(plane->options.worker_loops[worker], message);
    pthread_mutex_unlock(&plane->mutex);
    return is_here;
}

/* A name that was ever seen keeps its number: what a table entry's value is. */
uint32_t plane_service_id(struct service_plane *plane, struct slice name)
{
    void *known = table_get(&plane->service_ids, name);
    if (known)
        return (uint32_t)(uintptr_t)known;
    uint32_t id = (uint32_t)plane->service_ids.count + 1;
    char *copy = malloc(name.size + 1);
    if (!copy)
        return 0;
    memcpy(copy, name.data, name.size);
    if (table_put(&plane->service_ids, slice_of(copy, name.size), (void *)(uintptr_t)id) == OK)
        return id;
    free(copy);
    return 0;
}

struct resolver *plane_resolver(struct service_plane *plane)
{
    if (!plane->resolver && resolver_new(&plane->resolver))
        plane->resolver = NULL;
    return plane->resolver;
}

struct resolver *service_plane_worker_resolver(struct service_plane *plane, unsigned worker)
{
    struct resolver **resolver = &plane->resolvers[worker];
    if (!*resolver && resolver_new(resolver))
        *resolver = NULL;
    return *resolver;
}

struct tls_authorities *plane_authorities(struct service_plane *plane)
{
    if (!plane->authorities && tls_authorities_system(&plane->authorities))
        plane->authorities = NULL;
    return plane->authorities;
}

static void collect(void *argument, struct metrics *metrics)
{
    (void)metrics;
    struct service_plane *plane = argument;
    pthread_mutex_lock(&plane->mutex);
    guards_collect(plane);
    pthread_mutex_unlock(&plane->mutex);
    finder_collect_metrics(plane);
}

enum status service_plane_new(
    const struct service_plane_options *options, struct service_plane **ret_plane)
{
    struct service_plane *plane = calloc(1, sizeof *plane);
    bool *has_left = calloc(options->workers + 1, sizeof *has_left);
    struct resolver **resolvers = calloc(options->workers + 1, sizeof *resolvers);
    struct scope *asides = calloc(options->workers + 1, sizeof *asides);
    if (!plane || !has_left || !resolvers || !asides || pthread_mutex_init(&plane->mutex, NULL)) {
        free(plane);
        free(has_left);
        free(resolvers);
        free(asides);
        return NO_MEMORY;
    }
    for (unsigned i = 0; i < options->workers; i++)
        scope_init(&asides[i]);
    plane->asides = asides;
    plane->options = *options;
    plane->has_left = has_left;
    plane->resolvers = resolvers;
    plane->commands = command_gate_new();
    plane->orders = text_growing(0);
    plane->instances_before = text_growing(0);
    random_bytes(&plane->session_key, sizeof plane->session_key);
    random_bytes(plane->secret, sizeof plane->secret);
    list_init(&plane->endpoints);
    list_init(&plane->rosters);
    list_init(&plane->guards);
    table_init(&plane->guard_names, SERVICES_EVER);
    list_init(&plane->finders);
    list_init(&plane->instances);
    table_init(&plane->service_ids, SERVICES_EVER);
    if (options->metrics) {
        metrics_add_collector(options->metrics, collect, plane);
        endpoint_metrics_add(plane);
        breakers_add_metrics(plane);
    }
    *ret_plane = plane;
    return OK;
}

/* Asides use pools. Then under the mutex, so that nobody adds or takes away an endpoint
 * meanwhile. A pool that is being retired is given up by that message, which the loop still
 * delivers. */
void service_plane_leave_worker(struct service_plane *plane, unsigned worker)
{
    scope_end(&plane->asides[worker]);
    resolver_free(plane->resolvers[worker]);
    plane->resolvers[worker] = NULL;
    pthread_mutex_lock(&plane->mutex);
    plane->has_left[worker] = true;
    list_each (node, &plane->endpoints) {
        struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        struct pool *pool = &endpoint->pools[worker];
        pool_close(pool);
        if (!pool->is_retiring)
            endpoint_unref_locked(endpoint);
    }
    pthread_mutex_unlock(&plane->mutex);
}

void service_plane_free(struct service_plane *plane)
{
    if (!plane)
        return;
    instances_forget(plane);
    sweep_stop(plane);
    list_each (node, &plane->rosters)
        roster_free(list_entry(node, struct roster, node));
    list_each (node, &plane->endpoints)
        endpoint_free(list_entry(node, struct endpoint, node));
    guards_free(plane);
    if (plane->resolver)
        resolver_free(plane->resolver);
    tls_authorities_unref(plane->authorities);
    command_gate_unref(plane->commands);
    table_each (entry, &plane->service_ids)
        free((char *)entry->key.data);
    table_release(&plane->service_ids);
    pthread_mutex_destroy(&plane->mutex);
    free(plane->has_left);
    free(plane->asides);
    text_release(&plane->orders);
    text_release(&plane->instances_before);
    free(plane->resolvers);
    free(plane);
}
