/* What all stores of the process share: the fibers that each worker runs for them, and who tells
 * the operator how they do. One for the process, beside the services' plane, of which it uses the
 * workers' resolvers and messages. */
#pragma once

#include "base/metrics.h"
#include "run/scope.h"
#include "run/timer.h"
#include "service/plane.h"
#include "store/bus.h"
#include "store/memory.h"

/* What became of questions to stores of a kind: series of the metrics. */
struct store_series {
    uint32_t answered, refused, timeouts, unavailable;
};

struct stores {
    struct service_plane *plane; /* borrowed */
    struct memory *memory;       /* owned */
    struct store_bus bus;
    struct scope *scopes;         /* owned; by worker: the keepers of its connections */
    struct list servers;          /* struct redis, of the control thread */
    struct list durables;         /* struct durable, of the control thread */
    struct list postgres_servers; /* struct postgres, of the control thread */
    _Atomic uint64_t durable_commits, durable_failures;
    struct timer look;           /* at how they do; only where there are workers */
    int64_t number;              /* drawn at random: which of the gateways this is */
    uint32_t connections_series; /* of the metrics, as what follows */
    uint32_t gateways, connects, failed_connects, redirects, duration, durable_duration;
    uint32_t postgres_connections, postgres_connects, postgres_failed_connects, postgres_swept,
        postgres_duration;
    struct store_series redis, durable, postgres;
};

/* On the control thread. NO_MEMORY. */
enum status stores_new(struct service_plane *plane, struct stores **ret_stores);

/* Counts what became of a question. On the worker's thread. */
void stores_count(
    const struct stores *stores, const struct store_series *series, unsigned worker, enum status e);

/* A worker begins to serve with these; again is harmless. On its thread. */
void stores_join(const struct store_choice *choice, unsigned worker);

/* On each worker's own thread, on a fiber, before it leaves the plane: closes its connections. */
void stores_leave_worker(struct stores *stores, unsigned worker);

/* After all workers have ended, and the last snapshot is gone. NULL is fine. */
void stores_free(struct stores *stores);
