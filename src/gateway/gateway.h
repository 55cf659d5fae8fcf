/* The gateway as a whole, seen from the control thread: workers, listeners, the log, and the
 * snapshot that they serve.
 *
 * All calls are made on fibers of the control thread's loop. */
#pragma once

#include "gateway/worker.h"

struct gateway;

/* Loads the configuration and makes all ready to serve it, its listeners too. `inheritance` holds
 * the sockets that this process was given, and outlives the gateway; or NULL. On failure the
 * diagnostics, if any, say why (INVALID: the configuration; else the system), and nothing runs. */
enum status gateway_start(struct slice path, struct inheritance *inheritance,
    struct diagnostics *diagnostics, struct gateway **ret_gateway);

/* Workers begin to accept. Until then clients wait in the listeners' queues: whatever else can fail
 * at a start has its time before, so that nobody is taken in by who cannot stay. */
enum status gateway_open(struct gateway *gateway);

struct inheritance *gateway_inheritance(const struct gateway *gateway);

/* Who else takes part in reloads, however they were asked for. On the fiber that reloads. */
struct gateway_hooks {
    void (*reloading)(void *argument); /* one begins */
    /* Does what a new snapshot needs besides, before it is served; an error refuses it. */
    enum status (*prepare)(
        void *argument, const struct snapshot *snapshot, struct diagnostics *diagnostics);
    /* One has ended: `gateway_snapshot` is served now. */
    void (*reloaded)(void *argument, enum status result, struct diagnostics *diagnostics);
    /* Something that an operator has to see to; a sentence without its full stop. */
    void (*notice)(void *argument, const char *text);
};
void gateway_set_hooks(struct gateway *gateway, const struct gateway_hooks *hooks, void *argument);

/* Loads the configuration anew and serves it if it is good; else the old one goes on and the
 * diagnostics say why. Of several at once each waits its turn. */
enum status gateway_reload(struct gateway *gateway, struct diagnostics *diagnostics);

/* Stops accepting, lets exchanges end for at most the configuration's `drain`, and ends the workers
 * and the log. What is left answers questions only, and has no snapshot. */
void gateway_stop(struct gateway *gateway);

/* What was stopped, or never started. NULL is fine. */
void gateway_free(struct gateway *gateway);

/* Being replaced by another process (`weir upgrade`). First copies of all sockets are added to
 * `offer`, by their names, and the keys of TLS sessions. Later, when the other serves, they are let
 * go: connections that wait at those which it took (inheritance_mark_taken) are left to it, those
 * at others are taken as at a stop. From then on the gateway is draining, and a stop is patient: an
 * idle connection stays open for one more request, whose answer says that it ends. */
enum status gateway_offer_sockets(const struct gateway *gateway, struct inheritance *offer);
void gateway_hand_over(struct gateway *gateway, const struct inheritance *offer);

/* Where this process comes from, for status and metrics. */
struct gateway_lineage {
    uint64_t upgrades;   /* that led to this process, since the first was started by others */
    int64_t predecessor; /* the process that still drains; 0: none */
};
void gateway_set_lineage(struct gateway *gateway, const struct gateway_lineage *lineage);
const struct gateway_lineage *gateway_lineage(const struct gateway *gateway);

/* Readiness goes away first, so that a balancer in front can notice before connections do. */
bool gateway_is_ready(const struct gateway *gateway);
void gateway_set_draining(struct gateway *gateway);

void gateway_reopen_log(struct gateway *gateway);

/* What is served now: good until the caller next waits. NULL: nothing any more. */
const struct snapshot *gateway_snapshot(const struct gateway *gateway);

struct metrics *gateway_metrics(struct gateway *gateway);

/* Instances that register themselves (service/instances.h), of the sources with that name; NULL:
 * there is no such source. Good until the caller next waits. */
struct instances *gateway_instances(struct gateway *gateway, struct slice service);

/* {"version", "uptime", "workers", "listeners", "services", ...}. */
struct json_writer;
void gateway_describe(struct gateway *gateway, struct json_writer *writer);

/* "127.0.0.1:8080, unix:/run/weir.sock": the addresses that are really listened on. */
void gateway_print_listeners(const struct gateway *gateway, struct text *text);
