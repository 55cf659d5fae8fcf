/* The gateway as a whole, seen from the control thread: workers, listeners, the log, and the
 * snapshot that they serve.
 *
 * All calls are made on fibers of the control thread's loop. */
#pragma once

#include "gateway/worker.h"

struct gateway;

/* Loads the configuration and starts serving it. On failure the diagnostics, if any, say why
 * (INVALID: the configuration; else the system), and nothing runs. */
enum status gateway_start(
    struct slice path, struct diagnostics *diagnostics, struct gateway **ret_gateway);

/* Loads the configuration anew and serves it if it is good; else the old one goes on and the
 * diagnostics say why. Of several at once each waits its turn. */
enum status gateway_reload(struct gateway *gateway, struct diagnostics *diagnostics);

/* Stops accepting, lets exchanges end for at most the configuration's `drain`, ends the workers,
 * and frees everything. */
void gateway_stop(struct gateway *gateway);

/* Readiness goes away first, so that a balancer in front can notice before connections do. */
bool gateway_is_ready(const struct gateway *gateway);
void gateway_set_draining(struct gateway *gateway);

void gateway_reopen_log(struct gateway *gateway);

/* What is served now: good until the caller next waits. */
const struct snapshot *gateway_snapshot(const struct gateway *gateway);

struct metrics *gateway_metrics(struct gateway *gateway);

/* How the newest attempt to load went, for metrics and status. */
struct reload_facts {
    bool succeeded;
    uint64_t attempts, failures;
    int64_t when; /* wall-clock nanoseconds */
};
struct reload_facts gateway_reload_facts(const struct gateway *gateway);

/* {"version", "uptime", "workers", "listeners", "services", ...}. */
struct json_writer;
void gateway_describe(struct gateway *gateway, struct json_writer *writer);

/* "127.0.0.1:8080, unix:/run/weir.sock": the addresses that are really listened on. */
void gateway_print_listeners(const struct gateway *gateway, struct text *text);
