/* The gateway as JSON, for `weir status`. */
#include "gateway/gateway.h"

#include <unistd.h>

#include "base/json_writer.h"
#include "base/module.h"
#include "base/registry_view.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"
#include "policy/hash_pool.h"
#include "policy/keyring.h"
#include "policy/recall.h"
#include "service/watched_file.h"
#include "version.h"

/* The address that the kernel gave, which differs from what was asked for when the port was 0. */
static void add_bound(struct text *text, const struct listener *listener)
{
    struct address bound;
    if (!listener_bound(listener, &bound))
        address_format(&bound, text);
}

void gateway_print_listeners(const struct gateway *gateway, struct text *text)
{
    for (struct listener *const *l = gateway->listeners; *l; l++) {
        if (l != gateway->listeners)
            text_add_literal(text, ", ");
        add_bound(text, *l);
    }
}

/* Where clients of a forward proxy may be taken. */
static void write_targets(struct json_writer *writer, const struct proxy_listen_options *options)
{
    const struct proxy_pattern *patterns = options->proxy.to.items;
    json_put_array(writer, "forward_proxy");
    for (size_t i = 0; i < options->proxy.to.count; i++)
        json_write_string(writer, patterns[i].text);
    json_write_array_end(writer);
}

static void write_proxy(
    struct json_writer *writer, const struct snapshot *snapshot, struct slice listener)
{
    const struct listen_options *listen = &snapshot->options->listen;
    for (size_t i = 0; i < listen->count; i++)
        if (listen->all[i].proxy.is_set && slice_equal(listen->all[i].text, listener)) {
            write_targets(writer, &listen->all[i].proxy);
            return;
        }
}

static void write_listeners(
    struct json_writer *writer, const struct snapshot *snapshot, struct listener *const *listeners)
{
    json_put_array(writer, "listeners");
    for (; listeners && *listeners; listeners++) {
        json_write_object(writer);
        json_put_text(writer, "name", listener_name(*listeners));
        char address[ADDRESS_TEXT_MAX];
        struct text text = text_fixed(address, sizeof address);
        add_bound(&text, *listeners);
        json_put_text(writer, "address", text_slice(&text));
        write_proxy(writer, snapshot, listener_name(*listeners));
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

static void write_config(struct json_writer *writer, const struct gateway *gateway)
{
    const struct snapshot *snapshot = gateway->snapshot;
    json_put_object(writer, "config");
    json_put_text(writer, "path", snapshot->path);
    json_put_u64(writer, "generation", snapshot->generation);
    json_put_time(writer, "loaded", snapshot->loaded);
    json_put_u64(writer, "routes", snapshot->route_count);
    json_put_double(writer, "build_seconds", (double)snapshot->build_time / (double)SECOND);
    json_put_bool(writer, "last_reload_succeeded", gateway->reload.succeeded);
    json_put_u64(writer, "failed_reloads", gateway->reload.failures);
    json_write_object_end(writer);
}

static void write_services(struct json_writer *writer, const struct snapshot *snapshot)
{
    json_put_array(writer, "services");
    for (size_t i = 0; i < snapshot->service_count; i++)
        service_describe(snapshot->services[i], writer);
    json_write_array_end(writer);
}

static void write_store(struct json_writer *writer, const char *key, const struct store *store)
{
    if (store) {
        json_write_key(writer, slice_of_text(key));
        store_describe(store, writer);
    } else {
        json_put_null(writer, key);
    }
}

static void write_log(struct json_writer *writer, const struct access_log *log)
{
    struct access_log_counters counters = access_log_read_counters(log);
    json_put_object(writer, "access_log");
    json_put_u64(writer, "lines", counters.written);
    json_put_u64(writer, "dropped", counters.dropped);
    json_put_u64(writer, "failed_writes", counters.failed_writes);
    json_write_object_end(writer);
}

static void write_module(void *writer, const struct weir_module *module)
{
    char about[100] = "";
    module->about(about, sizeof about);
    json_write_object(writer);
    json_put_text(writer, "name", slice_of_text(module->name));
    json_put_text(writer, "library", slice_of_text(about));
    json_write_object_end(writer);
}

static void write_modules(struct json_writer *writer)
{
    json_write_key(writer, SLICE("modules"));
    json_write_array(writer);
    module_each_loaded(write_module, writer);
    json_write_array_end(writer);
}

/* What policies have to know who somebody is, and ask for it. */
static void write_identity(struct json_writer *writer, struct registry *registry)
{
    registry_describe(registry, KEYRING_KIND, "keyrings", keyring_describe, writer);
    registry_describe(registry, WATCHED_FILE_KIND, "files", watched_file_describe, writer);
    registry_describe(registry, HASH_POOL_KIND, "password_pool", hash_pool_describe, writer);
    registry_describe(registry, RECALL_KIND, "recalls", recall_describe, writer);
}

void gateway_describe(struct gateway *gateway, struct json_writer *writer)
{
    json_write_object(writer);
    json_put_text(writer, "version", SLICE(WEIR_VERSION));
    json_put_u64(writer, "pid", (uint64_t)getpid());
    json_put_u64(writer, "upgrades", gateway->lineage.upgrades);
    if (gateway->lineage.predecessor)
        json_put_i64(writer, "predecessor", gateway->lineage.predecessor);
    else
        json_put_null(writer, "predecessor");
    json_put_double(
        writer, "uptime_seconds", (double)(clock_now() - gateway->began) / (double)SECOND);
    json_put_text(writer, "state", gateway->is_draining ? SLICE("draining") : SLICE("serving"));
    json_put_u64(writer, "workers", gateway->worker_count);
    write_config(writer, gateway);
    write_listeners(writer, gateway->snapshot, gateway->listeners);
    tls_plan_describe(gateway->snapshot->tls, writer);
    acme_describe(gateway, writer);
    write_store(writer, "memory", gateway->snapshot->stores.memory);
    write_store(writer, "durable", gateway->snapshot->stores.durable);
    write_store(writer, "redis", gateway->snapshot->stores.redis);
    write_store(writer, "postgres", gateway->snapshot->stores.postgres);
    write_modules(writer);
    write_services(writer, gateway->snapshot);
    write_identity(writer, gateway->foundation.registry);
    write_log(writer, gateway->log);
    json_write_object_end(writer);
}
