/* The gateway as JSON, for `weir status`. */
#include "gateway/gateway.h"

#include <unistd.h>

#include "base/json_writer.h"
#include "gateway/acme_follow.h"
#include "gateway/gateway_state.h"
#include "version.h"

static void write_text(struct json_writer *writer, struct slice key, struct slice value)
{
    json_write_key(writer, key);
    json_write_string(writer, value);
}

static void write_number(struct json_writer *writer, struct slice key, uint64_t value)
{
    json_write_key(writer, key);
    json_write_u64(writer, value);
}

static void write_time(struct json_writer *writer, struct slice key, int64_t wall)
{
    char time[ISO_TIME_SIZE];
    clock_iso_time(wall, time);
    write_text(writer, key, slice_of(time, sizeof time));
}

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
    json_write_key(writer, SLICE("listeners"));
    json_write_array(writer);
    for (; listeners && *listeners; listeners++) {
        json_write_object(writer);
        write_text(writer, SLICE("name"), listener_name(*listeners));
        char address[ADDRESS_TEXT_MAX];
        struct text text = text_fixed(address, sizeof address);
        add_bound(&text, *listeners);
        write_text(writer, SLICE("address"), text_slice(&text));
        write_proxy(writer, snapshot, listener_name(*listeners));
        json_write_object_end(writer);
    }
    json_write_array_end(writer);
}

static void write_config(struct json_writer *writer, const struct gateway *gateway)
{
    const struct snapshot *snapshot = gateway->snapshot;
    json_write_key(writer, SLICE("config"));
    json_write_object(writer);
    write_text(writer, SLICE("path"), snapshot->path);
    write_number(writer, SLICE("generation"), snapshot->generation);
    write_time(writer, SLICE("loaded"), snapshot->loaded);
    write_number(writer, SLICE("routes"), snapshot->route_count);
    json_write_key(writer, SLICE("build_seconds"));
    json_write_double(writer, (double)snapshot->build_time / (double)SECOND);
    json_write_key(writer, SLICE("last_reload_succeeded"));
    json_write_bool(writer, gateway->reload.succeeded);
    write_number(writer, SLICE("failed_reloads"), gateway->reload.failures);
    json_write_object_end(writer);
}

static void write_services(struct json_writer *writer, const struct snapshot *snapshot)
{
    json_write_key(writer, SLICE("services"));
    json_write_array(writer);
    for (size_t i = 0; i < snapshot->service_count; i++)
        service_describe(snapshot->services[i], writer);
    json_write_array_end(writer);
}

static void write_store(struct json_writer *writer, struct slice name, const struct store *store)
{
    json_write_key(writer, name);
    if (store)
        store_describe(store, writer);
    else
        json_write_null(writer);
}

static void write_log(struct json_writer *writer, const struct access_log *log)
{
    struct access_log_counters counters = access_log_read_counters(log);
    json_write_key(writer, SLICE("access_log"));
    json_write_object(writer);
    write_number(writer, SLICE("lines"), counters.written);
    write_number(writer, SLICE("dropped"), counters.dropped);
    write_number(writer, SLICE("failed_writes"), counters.failed_writes);
    json_write_object_end(writer);
}

void gateway_describe(struct gateway *gateway, struct json_writer *writer)
{
    json_write_object(writer);
    write_text(writer, SLICE("version"), SLICE(WEIR_VERSION));
    write_number(writer, SLICE("pid"), (uint64_t)getpid());
    write_number(writer, SLICE("upgrades"), gateway->lineage.upgrades);
    json_write_key(writer, SLICE("predecessor"));
    if (gateway->lineage.predecessor)
        json_write_i64(writer, gateway->lineage.predecessor);
    else
        json_write_null(writer);
    json_write_key(writer, SLICE("uptime_seconds"));
    json_write_double(writer, (double)(clock_now() - gateway->began) / (double)SECOND);
    write_text(writer, SLICE("state"), gateway->is_draining ? SLICE("draining") : SLICE("serving"));
    write_number(writer, SLICE("workers"), gateway->worker_count);
    write_config(writer, gateway);
    write_listeners(writer, gateway->snapshot, gateway->listeners);
    tls_plan_describe(gateway->snapshot->tls, writer);
    acme_describe(gateway, writer);
    write_store(writer, SLICE("memory"), gateway->snapshot->stores.memory);
    write_store(writer, SLICE("durable"), gateway->snapshot->stores.durable);
    write_store(writer, SLICE("redis"), gateway->snapshot->stores.shared);
    write_services(writer, gateway->snapshot);
    write_log(writer, gateway->log);
    json_write_object_end(writer);
}
