/* Services: calling a system's parts by name. A service is a set of endpoints, a way to choose
 * among them, pools of connections to them, and what to do when one fails.
 *
 * Configuration (struct service_options, in the snapshot) and runtime state (endpoints' loads,
 * pools, in the registry, kept across reloads by name and address) are apart. Pools are one for
 * each worker and endpoint. */
#pragma once

#include "base/metrics.h"
#include "base/registry.h"
#include "config/option.h"
#include "http/exchange.h"
#include "http/h1.h"

struct resolver;
struct service;
struct service_plane;
struct discovery_defaults;

/* What the process has one of, made by main, for all services: workers' pools, resolver, health
 * checks, metrics. */
struct service_plane_options {
    struct registry *registry; /* borrowed */
    struct metrics *metrics;   /* borrowed */
    unsigned workers;
    struct loop *const *worker_loops;    /* borrowed, `workers` of them */
    struct metrics_shard *const *shards; /* borrowed, one a worker */
    struct loop *control_loop;           /* where checks and the resolver run */
    struct metrics_shard *control_shard;
    void (*notice)(void *argument, const char *text); /* says something to the operator; or NULL */
    void *notice_argument;
    /* Keeps the configuration that an exchange has pinned (exchange.h) for what outlives it, and
     * lets go of it. On the worker. Both or NULL: it lives on. */
    void (*hold)(void *pinned, unsigned worker);
    void (*let_go)(void *pinned, unsigned worker);
};
enum status service_plane_new(
    const struct service_plane_options *options, struct service_plane **ret_plane);

/* On each worker's own thread before its loop ends: closes its pools. */
void service_plane_leave_worker(struct service_plane *plane, unsigned worker);

/* A worker's own resolver, for names that are asked for while requests wait: of that worker's
 * thread, and gone when it leaves. NULL: no memory. */
struct resolver *service_plane_worker_resolver(struct service_plane *plane, unsigned worker);

/* After all workers have ended. */
void service_plane_free(struct service_plane *plane);

/* The table of one entry under `services:` ("user: 10.0.0.1:80", or a map). */
extern const struct option_table service_table;

/* Of what the table read: where the gateway stands, unless the service says so itself. */
void service_inherit_zone(void *value, struct slice zone);

/* Makes a service from what the table read; `defaults` are of its sources, or NULL. On the control
 * thread. Name and options must live as long as the snapshot's arena, with which the service is
 * released (arena_defer). New endpoints start being checked and resolved at service_activate. */
enum status service_prepare(struct service_plane *plane, struct reader *reader, struct slice name,
    const void *options, const struct discovery_defaults *defaults,
    const struct service **ret_service);

/* The versions of a service, services of their own that are activated with it; most have none; how
 * many the options speak of. Which one a call goes to, the service chooses. */
size_t service_versions_written(const void *options);
size_t service_version_count(const struct service *service);
bool service_is_version(const struct service *service);
const struct service *service_version(const struct service *service, size_t i);

/* Once all services of a file are prepared: finds those that others refer to. Complains through the
 * reader. On the control thread. */
void service_link(const struct service *service, struct reader *reader,
    const struct service *(*find)(void *argument, struct slice name), void *argument);

/* When the snapshot that holds it is published: starts checks, resolution, drops what it replaced.
 * On the control thread's loop, on a fiber. */
void service_activate(const struct service *service);

/* Calls the service with x->request; the answer's head is in x->response, its body not yet read.
 * Retries what is safe. Fills the upstream facts. Statuses: the UPSTREAM_… family, NO_ENDPOINT,
 * CLIENT_CLOSED, CANCELLED, and what reading the request's body gives. */
enum status service_call(const struct service *service, struct exchange *x);

struct slice service_name(const struct service *service);

/* The Host of a request that the gateway makes up by itself, unless the service's `host` says
 * another: that of the first endpoint, or the service's name where that is not known. */
struct slice service_own_host(const struct service *service);

/* For `weir explain`: adds how an endpoint is chosen for a request, and which one it would be if
 * all were well. On the control thread. */
void service_explain(const struct service *service, struct exchange *x, struct text *text);

/* For `weir explain` too: what the file says of it, and how much may be under way there; texts of
 * one line, empty if there is nothing to say. */
void service_explain_settings(const struct service *service, struct text *text);
void service_explain_limits(const struct service *service, struct text *text);

/* For status and the dashboard: writes the service with its endpoints as a JSON object. */
struct json_writer;
void service_describe(const struct service *service, struct json_writer *writer);
