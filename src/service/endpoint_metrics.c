#include "service/endpoint_metrics.h"

#include "balance/latency.h"

#define RELAXED memory_order_relaxed

static const struct metric_family duration_family = {"weir_upstream_request_duration_seconds",
    "Time from a request's first byte to a service until the head of its answer.", METRIC_HISTOGRAM,
    {"service", "endpoint"}};

/* Those who come at the same moment get the same number. */
uint32_t endpoint_register_duration(struct endpoint *endpoint)
{
    struct metrics *metrics = endpoint->plane->options.metrics;
    struct slice labels[] = {endpoint->service_name, endpoint->text};
    uint32_t series = metrics ? metrics_series(metrics, &duration_family, labels) : METRIC_OVERFLOW;
    atomic_store_explicit(&endpoint->duration_series, series, RELAXED);
    return series;
}

/* --- what is read */

static int64_t health_of(const struct endpoint *endpoint)
{
    return !endpoint_is_down(endpoint);
}

static int64_t connections_of(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->load.open, RELAXED);
}

static int64_t waiting_of(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->waiting, RELAXED);
}

static int64_t ejections_of(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->ejected, RELAXED);
}

static int64_t requests_of(const struct endpoint *endpoint)
{
    return (int64_t)atomic_load_explicit(&endpoint->load.requests, RELAXED);
}

static int64_t in_flight_of(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->load.in_flight, RELAXED);
}

static int64_t latency_of(const struct endpoint *endpoint)
{
    return (int64_t)(latency_average(&endpoint->load, clock_now()) / 1000);
}

static int64_t weight_of(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->weight, RELAXED);
}

struct fact {
    struct metric_family family;
    int64_t (*of)(const struct endpoint *endpoint);
};

static const struct fact facts[] = {
    {{"weir_endpoint_healthy", "1 while an endpoint is well: nothing keeps requests from it.",
         METRIC_GAUGE, {"service", "endpoint"}},
        health_of},
    {{"weir_upstream_connections", "Open connections to an endpoint, in use or idle.", METRIC_GAUGE,
         {"service", "endpoint"}},
        connections_of},
    {{"weir_upstream_waiting", "Requests that wait for a connection to an endpoint.", METRIC_GAUGE,
         {"service", "endpoint"}},
        waiting_of},
    {{"weir_endpoint_ejections_total",
         "How often an endpoint was taken out because requests failed there.", METRIC_COUNTER,
         {"service", "endpoint"}},
        ejections_of},
    {{"weir_endpoint_requests_total", "Requests and connections that an endpoint was chosen for.",
         METRIC_COUNTER, {"service", "endpoint"}},
        requests_of},
    {{"weir_endpoint_in_flight", "Requests and connections that an endpoint is working on.",
         METRIC_GAUGE, {"service", "endpoint"}},
        in_flight_of},
    {{"weir_endpoint_latency_seconds",
         "How fast an endpoint answers, as balancers see it: an average that fades while idle.",
         METRIC_GAUGE, {"service", "endpoint"}, .divisor = 1000000},
        latency_of},
    {{"weir_endpoint_weight",
         "An endpoint's weight as it counts, by configuration, agent and load reports.",
         METRIC_GAUGE, {"service", "endpoint"}, .divisor = 1000},
        weight_of},
};

static const struct metric_family checks_family = {"weir_endpoint_checks_total",
    "Active health checks, by what came of them: good or bad.", METRIC_COUNTER,
    {"service", "endpoint", "result"}};

static const struct fact *fact_of(const struct metric_family *family)
{
    size_t i = 0;
    while (&facts[i].family != family)
        i++;
    return &facts[i];
}

static void read_fact(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    struct service_plane *plane = argument;
    const struct fact *fact = fact_of(family);
    pthread_mutex_lock(&plane->mutex);
    list_each (node, &plane->endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        struct slice labels[] = {endpoint->service_name, endpoint->text};
        metric_say(lines, labels, fact->of(endpoint));
    }
    pthread_mutex_unlock(&plane->mutex);
}

static void say_checks(
    const struct endpoint *endpoint, const char *result, uint64_t count, struct metric_lines *lines)
{
    struct slice labels[] = {endpoint->service_name, endpoint->text, slice_of_text(result)};
    metric_say(lines, labels, (int64_t)count);
}

static void read_checks(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    (void)family;
    struct service_plane *plane = argument;
    pthread_mutex_lock(&plane->mutex);
    list_each (node, &plane->endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        say_checks(endpoint, "good", atomic_load_explicit(&endpoint->good_checks, RELAXED), lines);
        say_checks(endpoint, "bad", atomic_load_explicit(&endpoint->bad_checks, RELAXED), lines);
    }
    pthread_mutex_unlock(&plane->mutex);
}

void endpoint_metrics_add(struct service_plane *plane)
{
    struct metrics *metrics = plane->options.metrics;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        metrics_add_reader(metrics, &facts[i].family, read_fact, plane);
    metrics_add_reader(metrics, &checks_family, read_checks, plane);
}
