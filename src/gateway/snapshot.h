/* Snapshots: a configuration made ready to serve, immutable once built.
 *
 * The control thread builds one and publishes it by a message to each worker. A worker pins the
 * snapshot that is current when an exchange begins, and the exchange keeps it to its end. A
 * snapshot is freed, on the control thread, when every worker has moved on and its last pin is
 * gone. */
#pragma once

#include "config/secret.h"
#include "gateway/l4_listen.h"
#include "gateway/options.h"
#include "gateway/proxy_listen.h"
#include "gateway/server.h"
#include "gateway/tls_plan.h"
#include "policy/policy.h"
#include "route/router.h"
#include "run/mailbox.h"
#include "service/service.h"
#include "store/durable.h"
#include "store/postgres.h"
#include "store/redis.h"

/* A route ready to serve. */
struct route {
    struct slice name;    /* "GET /users/{id}" */
    struct slice service; /* empty when no service is called */
    struct handler chain; /* the policies around the handler */
    int64_t timeout;      /* nanoseconds, 0: the file's */
    uint32_t number;      /* index in the snapshot */
    const struct route_options *options;
    const struct policy_link *links; /* in the order in which they run */
    size_t link_count;
};

/* One worker's part: touched by that worker alone. */
struct snapshot_pin {
    _Alignas(64) uint32_t exchanges;
    bool is_current;
};

struct snapshot {
    struct arena arena; /* owns everything here, the snapshot itself too */
    const struct gateway_options *options;
    struct server_rules rules;
    struct l4_rules l4;
    const struct tls_plan *tls; /* or NULL: there are no certificates */
    uint16_t https_port;        /* where plain HTTP is sent to; set by who opens the listeners */
    struct proxied_listeners proxied;
    struct store_choice stores; /* borrowed from the registry */
    const struct router *router;
    struct route *routes;
    size_t route_count;
    const struct service **services;
    size_t service_count;
    size_t named_services; /* the first of them; the others are hidden (hidden_service.h) */
    uint64_t generation;   /* counts from 1 */
    int64_t loaded;        /* wall-clock nanoseconds */
    int64_t build_time;    /* nanoseconds that building took */
    struct slice path;     /* of the configuration */
    const struct secret_file *secrets; /* that were read from files */
    struct slice text; /* of its files, as they are: what the environment fills in is not shown */
    struct snapshot_pin *pins; /* one a worker */
    _Atomic unsigned holders;  /* workers that have not let go of it yet */
    struct loop *home;         /* the control thread's, where it is freed */
    void (*retire)(
        struct snapshot *snapshot); /* called there when nobody holds it any more: frees it */
    void *owner;                    /* retire's own */
    struct message farewell;
};

/* What building needs. All borrowed. */
struct snapshot_context {
    struct registry *registry;
    struct metrics *metrics;
    struct metrics_shard *const *shards; /* one a worker */
    struct service_plane *plane;
    struct stores *stores;
    struct tls_tickets *tickets;  /* or NULL */
    struct acme_answers *answers; /* or NULL */
    unsigned workers;
};

/* Builds from a file or folder. INVALID: the diagnostics (whose arena is the caller's) say why. */
enum status snapshot_load(const struct snapshot_context *context, struct slice path,
    struct diagnostics *diagnostics, struct snapshot **ret_snapshot);

void snapshot_free(struct snapshot *snapshot);

/* A worker begins to use it for new exchanges; stops; pins it for one exchange; unpins. Each on the
 * worker's own thread. When the last worker has let go, the snapshot goes home and is freed.
 * `holders` is set to the number of workers by whoever publishes it. */
void snapshot_enter(struct snapshot *snapshot, unsigned worker);
void snapshot_leave(struct snapshot *snapshot, unsigned worker);
void snapshot_pin(struct snapshot *snapshot, unsigned worker);
void snapshot_unpin(struct snapshot *snapshot, unsigned worker);

/* Finds the route for a request; a CORS preflight finds the route that the real request will have.
 */
enum status snapshot_route(
    const struct snapshot *snapshot, struct exchange *x, const struct route **ret_route);
