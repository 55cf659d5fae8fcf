#include "store/stores.h"

#include <stdlib.h>

#include "base/random.h"
#include "run/loop.h"
#include "store/durable.h"
#include "store/postgres_state.h"
#include "store/redis_state.h"

#define LOOK_EVERY   SECOND
#define MEMORY_LIMIT ((size_t)64 << 20)

static const struct metric_family connections_family = {"weir_redis_connections",
    "Connections of workers to the Redis server that can be used.", METRIC_GAUGE, {NULL}};
static const struct metric_family gateways_family = {"weir_redis_gateways",
    "Gateways that share the Redis server, as they have counted each other, or as the option says.",
    METRIC_GAUGE, {NULL}};
static const struct metric_family connects_family = {"weir_redis_connects_total",
    "Attempts to connect to the Redis server.", METRIC_COUNTER, {"result"}};
static const struct metric_family commands_family = {"weir_redis_commands_total",
    "What became of commands to the Redis server; unavailable: it was not asked.", METRIC_COUNTER,
    {"result"}};
static const struct metric_family redirects_family = {"weir_redis_redirects_total",
    "Commands that a node of a cluster sent on to another.", METRIC_COUNTER, {NULL}};
static const struct metric_family duration_family = {"weir_redis_command_duration_seconds",
    "From a command to its answer.", METRIC_HISTOGRAM, {NULL}};

static const struct metric_family memory_families[] = {
    {"weir_store_memory_bytes", "What the store in memory holds.", METRIC_GAUGE, {NULL}},
    {"weir_store_memory_limit_bytes", "What the store in memory may hold.", METRIC_GAUGE, {NULL}},
    {"weir_store_memory_entries", "Keys in the store in memory.", METRIC_GAUGE, {NULL}},
    {"weir_store_memory_evictions_total",
        "Keys that left the store in memory before their time, the oldest idle first.",
        METRIC_COUNTER, {NULL}},
    {"weir_store_memory_refusals_total",
        "What the store in memory had no room for, as there was nothing in it but leases.",
        METRIC_COUNTER, {NULL}}};

#define MEMORY_FAMILIES (sizeof memory_families / sizeof memory_families[0])

static void read_memory(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    struct memory_facts facts = memory_read_facts(argument);
    const uint64_t values[MEMORY_FAMILIES] = {
        facts.bytes, facts.limit, facts.entries, facts.evicted, facts.refused};
    metric_say(lines, NULL, (int64_t)values[family - memory_families]);
}

static const struct metric_family messages_family = {"weir_store_messages_total",
    "Messages of stores that somebody here listened to; lost: there was no room for more.",
    METRIC_COUNTER, {"result"}};

static const struct metric_family durable_family = {"weir_store_durable_questions_total",
    "What became of questions to the durable store; unavailable: nothing was done.", METRIC_COUNTER,
    {"result"}};
static const struct metric_family durable_duration_family = {
    "weir_store_durable_question_duration_seconds",
    "From a question to the durable store to its answer, when it is on the disk.", METRIC_HISTOGRAM,
    {NULL}};
static const struct metric_family durable_families[] = {
    {"weir_store_durable_bytes", "What the durable store's file takes on the disk, with its log.",
        METRIC_GAUGE, {NULL}},
    {"weir_store_durable_commits_total",
        "Steps of the durable store that are on the disk, each of one question or more.",
        METRIC_COUNTER, {NULL}},
    {"weir_store_durable_failures_total", "Steps of the durable store that could not be made.",
        METRIC_COUNTER, {NULL}}};

static const struct metric_family postgres_connections_family = {"weir_postgres_connections",
    "Connections of workers to the PostgreSQL server that can be used.", METRIC_GAUGE, {NULL}};
static const struct metric_family postgres_connects_family = {"weir_postgres_connects_total",
    "Attempts to connect to the PostgreSQL server.", METRIC_COUNTER, {"result"}};
static const struct metric_family postgres_family = {"weir_postgres_questions_total",
    "What became of questions to the PostgreSQL server; unavailable: nothing was done.",
    METRIC_COUNTER, {"result"}};
static const struct metric_family postgres_duration_family = {
    "weir_postgres_question_duration_seconds",
    "From a question to the PostgreSQL server to its answer.", METRIC_HISTOGRAM, {NULL}};
static const struct metric_family postgres_swept_family = {"weir_postgres_swept_total",
    "Rows that had ended, which this gateway took out of the table.", METRIC_COUNTER, {NULL}};

#define DURABLE_FAMILIES (sizeof durable_families / sizeof durable_families[0])

static void read_durable(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    struct stores *stores = argument;
    int64_t bytes = 0;
    list_each (node, &stores->durables)
        bytes += durable_bytes(durable_of_node(node));
    const int64_t values[DURABLE_FAMILIES] = {
        bytes, (int64_t)stores->durable_commits, (int64_t)stores->durable_failures};
    metric_say(lines, NULL, values[family - durable_families]);
}

static void read_messages(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    const struct store_bus *bus = argument;
    (void)family;
    metric_say(lines, (const struct slice[]){SLICE_INIT("heard")}, (int64_t)bus->heard);
    metric_say(lines, (const struct slice[]){SLICE_INIT("lost")}, (int64_t)bus->lost);
}

static uint32_t series(
    const struct stores *stores, const struct metric_family *family, const char *result)
{
    return metrics_series(
        stores->plane->options.metrics, family, (const struct slice[]){slice_of_text(result)});
}

static struct store_series series_of(
    const struct stores *stores, const struct metric_family *family)
{
    return (struct store_series){.answered = series(stores, family, "ok"),
        .refused = series(stores, family, "error"),
        .timeouts = series(stores, family, "timeout"),
        .unavailable = series(stores, family, "unavailable")};
}

static void make_series(struct stores *stores)
{
    stores->connections_series = series(stores, &connections_family, "");
    stores->gateways = series(stores, &gateways_family, "");
    stores->connects = series(stores, &connects_family, "ok");
    stores->failed_connects = series(stores, &connects_family, "failed");
    stores->redirects = series(stores, &redirects_family, "");
    stores->redis = series_of(stores, &commands_family);
    stores->duration = series(stores, &duration_family, "");
    stores->durable = series_of(stores, &durable_family);
    stores->durable_duration = series(stores, &durable_duration_family, "");
    stores->postgres_connections = series(stores, &postgres_connections_family, "");
    stores->postgres_connects = series(stores, &postgres_connects_family, "ok");
    stores->postgres_failed_connects = series(stores, &postgres_connects_family, "failed");
    stores->postgres = series_of(stores, &postgres_family);
    stores->postgres_duration = series(stores, &postgres_duration_family, "");
    stores->postgres_swept = series(stores, &postgres_swept_family, "");
}

void stores_count(
    const struct stores *stores, const struct store_series *series, unsigned worker, enum status e)
{
    bool is_answer = e == OK || e == NOT_FOUND || e == CONFLICT;
    uint32_t one = is_answer                ? series->answered
                   : e == STORE_UNAVAILABLE ? series->unavailable
                   : e == INVALID           ? series->refused
                                            : series->timeouts;
    metric_add(stores->plane->options.shards[worker], one, 1);
}

static void add_readers(struct stores *stores)
{
    struct metrics *metrics = stores->plane->options.metrics;
    for (size_t i = 0; i < MEMORY_FAMILIES; i++)
        metrics_add_reader(metrics, &memory_families[i], read_memory, stores->memory);
    for (size_t i = 0; i < DURABLE_FAMILIES; i++)
        metrics_add_reader(metrics, &durable_families[i], read_durable, stores);
    metrics_add_reader(metrics, &messages_family, read_messages, &stores->bus);
}

static void collect(void *argument, struct metrics *metrics)
{
    struct stores *stores = argument;
    int64_t connections = 0, gateways = 0;
    (void)metrics;
    list_each (node, &stores->servers) {
        const struct redis *redis = list_entry(node, struct redis, node);
        connections += redis_count(redis, REDIS_UP);
        gateways = redis->store.gateways;
    }
    metric_set(stores->plane->options.control_shard, stores->connections_series, connections);
    metric_set(stores->plane->options.control_shard, stores->gateways, gateways);
    connections = 0;
    list_each (node, &stores->postgres_servers)
        connections += postgres_count(postgres_of_node(node), POSTGRES_UP);
    metric_set(stores->plane->options.control_shard, stores->postgres_connections, connections);
}

static void look(struct timer *timer)
{
    struct stores *stores = list_entry(timer, struct stores, look);
    list_each (node, &stores->servers)
        redis_tell(list_entry(node, struct redis, node));
    list_each (node, &stores->durables)
        durable_tell(durable_of_node(node));
    list_each (node, &stores->postgres_servers)
        postgres_tell(postgres_of_node(node));
    timer_set(timer, loop_now() + LOOK_EVERY);
}

enum status stores_new(struct service_plane *plane, struct stores **ret_stores)
{
    unsigned workers = plane->options.workers;
    struct memory *memory = NULL;
    struct stores *stores = calloc(1, sizeof *stores);
    struct scope *scopes = calloc(workers + 1, sizeof *scopes);
    if (!stores || !scopes || memory_new(MEMORY_LIMIT, &memory) ||
        store_bus_init(&stores->bus, plane->options.control_loop)) {
        memory_free(memory);
        free(stores);
        free(scopes);
        return NO_MEMORY;
    }
    stores->plane = plane;
    random_bytes(&stores->number, sizeof stores->number);
    stores->number &= INT64_MAX;
    stores->scopes = scopes;
    stores->memory = memory;
    memory_set_bus(memory, &stores->bus);
    list_init(&stores->servers);
    list_init(&stores->durables);
    list_init(&stores->postgres_servers);
    timer_init(&stores->look, look);
    for (unsigned i = 0; i < workers; i++)
        scope_init(&scopes[i]);
    if (workers) {
        make_series(stores);
        metrics_add_collector(plane->options.metrics, collect, stores);
        add_readers(stores);
        timer_set(&stores->look, loop_now() + LOOK_EVERY);
    }
    *ret_stores = stores;
    return OK;
}

void stores_join(const struct store_choice *choice, unsigned worker)
{
    struct store *const stores[] = {
        choice->memory, choice->durable, choice->redis, choice->postgres};
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++)
        if (stores[i])
            store_join(stores[i], worker);
}

void stores_leave_worker(struct stores *stores, unsigned worker)
{
    scope_end(&stores->scopes[worker]);
}

void stores_free(struct stores *stores)
{
    if (!stores)
        return;
    if (stores->plane->options.workers)
        timer_cancel(&stores->look);
    store_bus_release(&stores->bus);
    memory_free(stores->memory);
    free(stores->scopes);
    free(stores);
}
