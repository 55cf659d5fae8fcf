#include "l4/metrics.h"

static const struct metric_family tcp_connections = {"weir_tcp_connections_total",
    "TCP connections that have ended.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family tcp_duration = {"weir_tcp_connection_duration_seconds",
    "How long TCP connections lasted.", METRIC_HISTOGRAM, {"listener", "service"}, 0};
static const struct metric_family tcp_received = {"weir_tcp_received_bytes_total",
    "Bytes from clients of TCP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family tcp_sent = {"weir_tcp_sent_bytes_total",
    "Bytes to clients of TCP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family tcp_spliced = {"weir_tcp_spliced_bytes_total",
    "Bytes of TCP listeners, both ways, that moved inside the kernel.", METRIC_COUNTER,
    {"listener", "service"}, 0};
static const struct metric_family tcp_reasons = {"weir_tcp_reasons_total",
    "TCP connections that ended other than by their ends, by reason.", METRIC_COUNTER,
    {"listener", "service", "reason"}, 0};
static const struct metric_family tcp_open = {"weir_tcp_open_connections",
    "Open connections of a TCP listener.", METRIC_GAUGE, {"listener"}, 0};

static const struct metric_family udp_sessions = {"weir_udp_sessions_total",
    "UDP sessions that have ended.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family udp_duration = {"weir_udp_session_duration_seconds",
    "How long UDP sessions lasted.", METRIC_HISTOGRAM, {"listener", "service"}, 0};
static const struct metric_family udp_received = {"weir_udp_received_bytes_total",
    "Bytes from clients of UDP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family udp_sent = {"weir_udp_sent_bytes_total",
    "Bytes to clients of UDP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family udp_received_datagrams = {"weir_udp_received_datagrams_total",
    "Datagrams from clients of UDP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family udp_sent_datagrams = {"weir_udp_sent_datagrams_total",
    "Datagrams to clients of UDP listeners.", METRIC_COUNTER, {"listener", "service"}, 0};
static const struct metric_family udp_reasons = {"weir_udp_reasons_total",
    "UDP sessions that ended other than by silence, by reason.", METRIC_COUNTER,
    {"listener", "service", "reason"}, 0};
static const struct metric_family udp_dropped = {"weir_udp_dropped_datagrams_total",
    "Datagrams of a UDP listener, either way, that could not be sent on.", METRIC_COUNTER,
    {"listener"}, 0};
static const struct metric_family udp_open = {
    "weir_udp_open_sessions", "Sessions of a UDP listener.", METRIC_GAUGE, {"listener"}, 0};

void l4_target_register(struct l4_target *target, struct metrics *metrics,
    enum l4_transport transport, struct slice listener)
{
    struct slice labels[] = {listener, target->service_name};
    bool is_udp = transport == L4_UDP;
    if (!metrics)
        return;
    target->sessions = metrics_series(metrics, is_udp ? &udp_sessions : &tcp_connections, labels);
    target->duration = metrics_series(metrics, is_udp ? &udp_duration : &tcp_duration, labels);
    target->received = metrics_series(metrics, is_udp ? &udp_received : &tcp_received, labels);
    target->sent = metrics_series(metrics, is_udp ? &udp_sent : &tcp_sent, labels);
    if (!is_udp) {
        target->spliced = metrics_series(metrics, &tcp_spliced, labels);
        return;
    }
    target->received_datagrams = metrics_series(metrics, &udp_received_datagrams, labels);
    target->sent_datagrams = metrics_series(metrics, &udp_sent_datagrams, labels);
}

uint32_t l4_open_series(struct metrics *metrics, enum l4_transport transport, struct slice listener)
{
    if (!metrics)
        return METRIC_OVERFLOW;
    return metrics_series(metrics, transport == L4_UDP ? &udp_open : &tcp_open, &listener);
}

uint32_t l4_dropped_series(struct metrics *metrics, struct slice listener)
{
    return metrics ? metrics_series(metrics, &udp_dropped, &listener) : METRIC_OVERFLOW;
}

void l4_count(struct metrics *metrics, struct metrics_shard *shard, const struct l4_target *target,
    const struct l4_facts *facts)
{
    struct slice labels[] = {
        facts->listener, facts->service, slice_of_text(status_word(facts->reason))};
    metric_add(shard, target->sessions, 1);
    metric_observe(shard, target->duration, facts->ended - facts->started);
    if (facts->reason != OK) /* registering takes a lock, which such an end can afford */
        metric_add(shard,
            metrics_series(
                metrics, facts->transport == L4_UDP ? &udp_reasons : &tcp_reasons, labels),
            1);
}
