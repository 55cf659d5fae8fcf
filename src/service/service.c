#include "service/service_state.h"

#include "service/check.h"
#include "service/hedging.h"
#include "service/outlier.h"
#include "service/reports.h"
#include "service/retry_budget.h"
#include "service/service_tls.h"
#include "service/finder.h"
#include "service/sticky.h"
#include "service/mirror.h"
#include "service/rollout.h"

static const struct metric_family failure_family = {"weir_upstream_failures_total",
    "Tries to ask a service that failed.", METRIC_COUNTER, {"service", "reason"}};
static const struct metric_family retry_family = {"weir_upstream_retries_total",
    "Requests that were sent to a service once more, by what had happened before.", METRIC_COUNTER,
    {"service", "reason"}};
static const struct metric_family exhausted_family = {"weir_retry_budget_exhausted_total",
    "Requests that were not sent to a service once more since that was asked too much already.",
    METRIC_COUNTER, {"service"}};

static const struct metric_family hedge_family = {"weir_hedges_total",
    "Second requests that were sent since the first took long, by whether they won.",
    METRIC_COUNTER, {"service", "outcome"}};
static const struct metric_family unhedged_family = {"weir_hedges_refused_total",
    "Second requests that were not sent though the first took long, by why.", METRIC_COUNTER,
    {"service", "reason"}};

/* Registering takes a lock, which what is rare can afford. */
static void count(const struct service *service, unsigned worker,
    const struct metric_family *family, struct slice value)
{
    struct slice labels[] = {service->name, value};
    struct metrics *metrics = service->plane->options.metrics;
    if (metrics)
        metric_add(plane_shard(service->plane, worker), metrics_series(metrics, family, labels), 1);
}

void service_count_failure(const struct service *service, unsigned worker, enum status reason)
{
    count(service, worker, &failure_family, slice_of_text(status_word(reason)));
}

void service_count_retry(const struct service *service, unsigned worker, struct slice reason)
{
    count(service, worker, &retry_family, reason);
}

void service_count_hedge(const struct service *service, unsigned worker, const char *outcome)
{
    count(service, worker, &hedge_family, slice_of_text(outcome));
}

void service_count_unhedged(const struct service *service, unsigned worker, const char *reason)
{
    count(service, worker, &unhedged_family, slice_of_text(reason));
}

static enum status prepare_hedging(struct reader *reader, struct service *service)
{
    const struct hedge_options *options = &service->options->hedge;
    if (options->is_set && hedge_rule_is_on(&options->rule))
        service->hedge = &options->rule;
    enum status e =
        hedging_obtain(service->plane->options.registry, service->name, &service->hedging);
    return e ? e : arena_own(reader->arena, registry_release, service->hedging);
}

static enum status prepare_budget(struct reader *reader, struct service *service)
{
    struct service_plane *plane = service->plane;
    enum status e = retry_budget_obtain(plane->options.registry, service->name, &service->budget);
    if (!e)
        e = arena_own(reader->arena, registry_release, service->budget);
    if (e)
        return e;
    if (plane->options.metrics)
        service->budget_exhausted_series =
            metrics_series(plane->options.metrics, &exhausted_family, &service->name);
    return OK;
}

static void release_service(void *argument)
{
    struct service *service = argument;
    if (!service->roster)
        return;
    checks_stop(roster_look(service->roster), service->options);
    roster_retire(service->roster);
}

static bool has_sources(const struct service_options *options)
{
    const struct endpoint_options *items = options->at.items;
    for (size_t i = 0; i < options->at.count; i++)
        if (items[i].at.source)
            return true;
    return false;
}

static uint32_t room_of(const struct service_options *options)
{
    int64_t each = options->speaks_http2 ? options->http2.streams : 1;
    int64_t room = options->connections.max * each;
    return room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
}

/* What only a service that is asked itself has. */
static enum status prepare_asking(struct service_plane *plane, struct reader *reader,
    const struct discovery_defaults *defaults, struct service *service)
{
    const struct service_options *options = service->options;
    service->guard = guard_obtain(plane, service->name);
    if (!service->guard)
        return NO_MEMORY;
    enum status e = options->concurrency.is_adaptive ? guard_adapt(service->guard) : OK;
    if (!e && options->shed.is_set)
        e = guard_admit(service->guard);
    if (!e)
        e = service_tls_prepare(plane, reader, options);
    if (!e && options->sticky.is_set)
        e = sticky_prepare(plane, reader, service->name, &options->sticky, &service->sticky);
    if (!e)
        e = prepare_budget(reader, service);
    if (!e)
        e = prepare_hedging(reader, service);
    if (!e)
        e = roster_new(plane, reader, service->name, options, defaults, &service->roster);
    return e;
}

enum status service_prepare(struct service_plane *plane, struct reader *reader, struct slice name,
    const void *options, const struct discovery_defaults *defaults,
    const struct service **ret_service)
{
    struct service *service = arena_new(reader->arena, struct service);
    if (!service)
        return NO_MEMORY;
    service->plane = plane;
    service->name = name;
    service->options = options;
    service->room = room_of(service->options);
    service->has_names = has_sources(options);
    service->is_choosy = service->options->balance.key || service->options->subset.is_set ||
                         service->options->sticky.is_set;
    service->id = plane_service_id(plane, name);
    bool has_versions = service->options->release.count > 0;
    service->is_composed = has_versions || service->options->mirror.is_set;
    enum status e = has_versions ? versions_prepare(plane, reader, defaults, service)
                                 : prepare_asking(plane, reader, defaults, service);
    if (!e && service->options->mirror.is_set)
        e = mirror_prepare(reader, service);
    if (e)
        return e;
    if (arena_own(reader->arena, release_service, service))
        return NO_MEMORY;
    *ret_service = service;
    return OK;
}

size_t service_versions_written(const void *options)
{
    return ((const struct service_options *)options)->release.count;
}

size_t service_version_count(const struct service *service)
{
    return service->versions ? service->versions->count : 0;
}

bool service_is_version(const struct service *service)
{
    return service->options->release.is_version;
}

const struct service *service_version(const struct service *service, size_t i)
{
    return service->versions->items[i].service;
}

static void activate_asking(const struct service *service)
{
    finder_watch_start_all(service->roster);
    outlier_adopt(service->roster);
    reports_adopt(service->roster);
    checks_start(roster_look(service->roster), service->options);
    sweep_start(service->plane);
    sweep_stir(service->plane);
}

/* The snapshot is not published yet: nobody else sees it. */
void service_link(const struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument)
{
    fallback_link((struct service *)service, reader, find, argument);
    mirror_link(service, reader, find, argument);
}

void service_activate(const struct service *service)
{
    if (service->roster)
        activate_asking(service);
    for (size_t i = 0; i < service_version_count(service); i++)
        activate_asking(service_version(service, i));
    if (service->versions)
        rollout_adopt(service->versions);
}

struct slice service_name(const struct service *service)
{
    return service->name;
}

struct slice service_own_host(const struct service *service)
{
    const struct option_list *at = &service->options->at;
    const struct endpoint_options *first = at->items;
    if (at->count == 0 || (first->at.source && !first->at.name.size))
        return service->name;
    return slice_has_prefix(first->at.text, SLICE("unix:")) ? SLICE("localhost") : first->at.text;
}
