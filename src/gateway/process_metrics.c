#include "gateway/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/gateway_state.h"
#include "run/sharing.h"
#include "version.h"

#define MICROSECONDS 1000000 /* what is kept in them is shown in seconds */

/* One row a fact of the whole process. */
enum fact {
    RELOAD_SUCCESS,
    GENERATION,
    RELOAD_TIME,
    BUILD_TIME,
    RESIDENT_BYTES,
    CPU_SECONDS,
    OPEN_DESCRIPTORS,
    START_TIME,
    LOG_LINES,
    LOG_DROPPED,
    LOG_FAILED,
    FACT_COUNT
};

static const struct metric_family facts[FACT_COUNT] = {
    [RELOAD_SUCCESS] = {"weir_config_last_reload_success",
        "1 when the newest attempt to load succeeded.", METRIC_GAUGE, {NULL}, 0},
    [GENERATION] = {"weir_config_generation", "How many configurations have been served.",
        METRIC_GAUGE, {NULL}, 0},
    [RELOAD_TIME] = {"weir_config_last_reload_timestamp_seconds",
        "When the newest attempt to load was.", METRIC_GAUGE, {NULL}, 0},
    [BUILD_TIME] = {"weir_config_build_seconds", "How long building the present snapshot took.",
        METRIC_GAUGE, {NULL}, MICROSECONDS},
    [RESIDENT_BYTES] = {"process_resident_memory_bytes", "Memory in use.", METRIC_GAUGE, {NULL}, 0},
    [CPU_SECONDS] = {"process_cpu_seconds_total", "Processor time used.", METRIC_COUNTER, {NULL},
        MICROSECONDS},
    [OPEN_DESCRIPTORS] = {"process_open_fds", "Open file descriptors.", METRIC_GAUGE, {NULL}, 0},
    [START_TIME] = {"process_start_time_seconds", "When the process began.", METRIC_GAUGE, {NULL},
        0},
    [LOG_LINES] = {"weir_access_log_lines_total", "Access-log lines handed to the writer.",
        METRIC_COUNTER, {NULL}, 0},
    [LOG_DROPPED] = {"weir_access_log_dropped_total",
        "Access-log lines dropped because the target was too slow.", METRIC_COUNTER, {NULL}, 0},
    [LOG_FAILED] = {"weir_access_log_failed_writes_total", "Writes of the access log that failed.",
        METRIC_COUNTER, {NULL}, 0},
};

static const struct metric_family connections = {
    "weir_client_connections", "Open client connections.", METRIC_GAUGE, {"worker"}, 0};
static const struct metric_family busy = {"weir_worker_busy_seconds_total",
    "Time that a worker did not spend waiting for events.", METRIC_COUNTER, {"worker"},
    MICROSECONDS};
static const struct metric_family fibers = {
    "weir_worker_fibers", "Fibers under way.", METRIC_GAUGE, {"worker"}, 0};
static const struct metric_family build_info = {
    "weir_build_info", "1, with the version.", METRIC_GAUGE, {"version"}, 0};

static const struct metric_family floods = {"weir_http2_floods_total",
    "HTTP/2 connections ended because the client sent too much of what costs it little.",
    METRIC_COUNTER, {"worker", "kind"}, 0};
static const struct metric_family refused = {"weir_client_connections_refused_total",
    "Connections answered with 503 because there were connections-max already.", METRIC_COUNTER,
    {"worker"}, 0};
static const struct metric_family pauses = {"weir_accept_pauses_total",
    "Times that accepting rested because there were no descriptors left.", METRIC_COUNTER,
    {"worker"}, 0};
static const struct metric_family buffers = {
    "weir_worker_buffers", "Buffers in use.", METRIC_GAUGE, {"worker"}, 0};
static const struct metric_family pipes = {"weir_worker_pipes",
    "Pipes in use, two descriptors each, by which long bodies move without being copied.",
    METRIC_GAUGE, {"worker"}, 0};

static const struct metric_family kernel_connections = {"weir_kernel_tls_connections_total",
    "Connections of TLS whose sending was handed over to the kernel.", METRIC_COUNTER, {"worker"},
    0};
static const struct metric_family kernel_bytes = {"weir_kernel_tls_spliced_bytes_total",
    "Bytes that went to them without being copied here.", METRIC_COUNTER, {"worker"}, 0};

static const struct metric_family websockets = {
    "weir_websockets_open", "WebSockets that are open.", METRIC_GAUGE, {"worker"}, 0};
static const struct metric_family tunnels = {
    "weir_tunnels_open", "Tunnels of CONNECT that are open.", METRIC_GAUGE, {"worker"}, 0};

static const struct metric_family h2_connections = {"weir_http2_connections",
    "Open client connections that speak HTTP/2.", METRIC_GAUGE, {"worker"}, 0};
static const struct metric_family h2_streams = {"weir_http2_streams",
    "Requests under way on these, WebSockets among them.", METRIC_GAUGE, {"worker"}, 0};

struct worker_series {
    uint32_t connections, websockets, tunnels, h2_connections, h2_streams, busy, fibers, refused,
        pauses, buffers, pipes, kernel_connections, kernel_bytes;
    uint64_t busy_before, refused_before, pauses_before, kernel_connections_before,
        kernel_bytes_before;
    uint32_t floods[H2_FLOOD_COUNT];
    uint64_t floods_before[H2_FLOOD_COUNT];
};

struct process_metrics {
    struct gateway *gateway;
    uint32_t series[FACT_COUNT];
    uint64_t before[FACT_COUNT]; /* of counters: what has been added already */
    struct worker_series *workers;
    int64_t started;
    struct access_log *log; /* whose counters `before` has */
};

static uint64_t resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

static uint64_t cpu_microseconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static struct metrics_shard *shard_of(const struct process_metrics *process)
{
    const struct foundation *foundation = &process->gateway->foundation;
    return foundation->shards[foundation->workers];
}

static void raise_to(struct metrics_shard *shard, uint32_t series, uint64_t value, uint64_t *before)
{
    if (value > *before)
        metric_add(shard, series, value - *before);
    *before = value;
}

static void set(const struct process_metrics *process, enum fact fact, int64_t value)
{
    metric_set(shard_of(process), process->series[fact], value);
}

static void collect_config(struct process_metrics *process)
{
    const struct gateway *gateway = process->gateway;
    set(process, RELOAD_SUCCESS, gateway->reload.succeeded);
    set(process, RELOAD_TIME, gateway->reload.when / SECOND);
    set(process, GENERATION, (int64_t)gateway->generation);
    if (gateway->snapshot)
        set(process, BUILD_TIME, gateway->snapshot->build_time / MICROSECOND);
}

/* A new log counts from zero again. */
static void collect_log(struct process_metrics *process)
{
    struct access_log *log = process->gateway->log;
    struct access_log_counters counters = access_log_read_counters(log);
    const uint64_t values[] = {counters.written, counters.dropped, counters.failed_writes};
    for (int i = 0; i < 3; i++) {
        if (log != process->log)
            process->before[LOG_LINES + i] = 0;
        raise_to(shard_of(process), process->series[LOG_LINES + i], values[i],
            &process->before[LOG_LINES + i]);
    }
    process->log = log;
}

static void show_open(
    const struct process_metrics *process, uint32_t series, _Atomic uint64_t *count)
{
    metric_set(
        shard_of(process), series, (int64_t)atomic_load_explicit(count, memory_order_relaxed));
}

static void collect_workers(struct process_metrics *process)
{
    struct gateway *gateway = process->gateway;
    for (unsigned i = 0; i < gateway->started; i++) {
        struct worker_series *series = &process->workers[i];
        struct loop_counters counters;
        loop_read_counters(gateway->loops[i], &counters);
        metric_set(shard_of(process), series->connections,
            (int64_t)share_count(gateway->workers[i].member));
        metric_set(shard_of(process), series->fibers, (int64_t)counters.fibers_running);
        metric_set(shard_of(process), series->buffers, (int64_t)counters.buffers_lent);
        struct server *server = &gateway->workers[i].server;
        show_open(process, series->websockets, &server->websockets);
        show_open(process, series->tunnels, &server->tunnels);
        show_open(process, series->h2_connections, &server->h2_connections);
        show_open(process, series->h2_streams, &server->h2_streams);
        metric_set(shard_of(process), series->pipes, (int64_t)counters.splices_lent);
        raise_to(shard_of(process), series->kernel_connections, counters.kernel_tls_connections,
            &series->kernel_connections_before);
        raise_to(shard_of(process), series->kernel_bytes, counters.kernel_tls_bytes,
            &series->kernel_bytes_before);
        raise_to(shard_of(process), series->refused,
            atomic_load_explicit(&gateway->workers[i].server.refused, memory_order_relaxed) +
                atomic_load_explicit(&gateway->workers[i].tcp.refused, memory_order_relaxed),
            &series->refused_before);
        for (int j = 0; j < H2_FLOOD_COUNT; j++)
            raise_to(shard_of(process), series->floods[j],
                atomic_load_explicit(
                    &gateway->workers[i].server.h2_floods[j], memory_order_relaxed),
                &series->floods_before[j]);
        raise_to(shard_of(process), series->pauses, counters.accept_pauses, &series->pauses_before);
        raise_to(shard_of(process), series->busy, counters.busy_nanoseconds / (uint64_t)MICROSECOND,
            &series->busy_before);
    }
}

static void collect(void *argument, struct metrics *metrics)
{
    struct process_metrics *process = argument;
    (void)metrics;
    collect_config(process);
    collect_log(process);
    collect_workers(process);
    set(process, RESIDENT_BYTES, (int64_t)resident_bytes());
    set(process, OPEN_DESCRIPTORS, (int64_t)open_descriptors());
    set(process, START_TIME, process->started);
    raise_to(shard_of(process), process->series[CPU_SECONDS], cpu_microseconds(),
        &process->before[CPU_SECONDS]);
}

static void register_series(struct process_metrics *process)
{
    struct metrics *metrics = process->gateway->foundation.metrics;
    for (int i = 0; i < FACT_COUNT; i++)
        process->series[i] = metrics_series(metrics, &facts[i], NULL);
    for (unsigned i = 0; i < process->gateway->worker_count; i++) {
        char digits[12];
        struct text text = text_fixed(digits, sizeof digits);
        text_add_u64(&text, i);
        struct slice label = text_slice(&text);
        process->workers[i].connections = metrics_series(metrics, &connections, &label);
        process->workers[i].websockets = metrics_series(metrics, &websockets, &label);
        process->workers[i].tunnels = metrics_series(metrics, &tunnels, &label);
        process->workers[i].h2_connections = metrics_series(metrics, &h2_connections, &label);
        process->workers[i].h2_streams = metrics_series(metrics, &h2_streams, &label);
        process->workers[i].busy = metrics_series(metrics, &busy, &label);
        process->workers[i].fibers = metrics_series(metrics, &fibers, &label);
        for (int j = 0; j < H2_FLOOD_COUNT; j++) {
            struct slice labels[] = {label, h2_flood_name((enum h2_flood)j)};
            process->workers[i].floods[j] = metrics_series(metrics, &floods, labels);
        }
        process->workers[i].refused = metrics_series(metrics, &refused, &label);
        process->workers[i].pauses = metrics_series(metrics, &pauses, &label);
        process->workers[i].buffers = metrics_series(metrics, &buffers, &label);
        process->workers[i].pipes = metrics_series(metrics, &pipes, &label);
        process->workers[i].kernel_connections =
            metrics_series(metrics, &kernel_connections, &label);
        process->workers[i].kernel_bytes = metrics_series(metrics, &kernel_bytes, &label);
    }
    struct slice version = SLICE(WEIR_VERSION);
    metric_set(shard_of(process), metrics_series(metrics, &build_info, &version), 1);
}

enum status process_metrics_new(struct gateway *gateway, struct process_metrics **ret_metrics)
{
    struct process_metrics *process = calloc(1, sizeof *process);
    if (!process)
        return NO_MEMORY;
    process->gateway = gateway;
    process->started = clock_wall() / SECOND;
    process->workers = calloc(gateway->worker_count + 1, sizeof *process->workers);
    if (!process->workers) {
        free(process);
        return NO_MEMORY;
    }
    register_series(process);
    metrics_add_collector(gateway->foundation.metrics, collect, process);
    *ret_metrics = process;
    return OK;
}

void process_metrics_free(struct process_metrics *process)
{
    if (!process)
        return;
    free(process->workers);
    free(process);
}
