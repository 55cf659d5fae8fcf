/* What a process has one of, under all snapshots: the registry of runtime state, the metrics with a
 * shard for each thread, the services' plane. Without workers it serves commands that only look at
 * a configuration. */
#pragma once

#include "gateway/snapshot.h"

struct foundation {
    struct registry *registry;
    struct metrics *metrics;
    struct metrics_shard **shards; /* one a worker, then the control thread's */
    struct service_plane *plane;
    struct stores *stores;        /* what gateways share */
    struct tls_tickets *tickets;  /* so that sessions survive reloads and go on at any worker */
    struct acme_answers *answers; /* to authorities that ask whether a name is ours */
    unsigned workers;
};

/* Those that this process may run on. */
unsigned foundation_processor_count(void);

/* How many workers the configuration asks for, or as many as there are processors. A configuration
 * that cannot be read gives the latter: loading it will say what is wrong. */
unsigned foundation_worker_count(struct slice path);

enum status foundation_init(struct foundation *foundation, unsigned workers);

/* Makes the plane, once the workers' loops stand (NULL: there are none). `notice` says something to
 * the operator; or NULL. */
enum status foundation_connect(struct foundation *foundation, struct loop *const *loops,
    void (*notice)(void *argument, const char *text), void *argument);

void foundation_release(struct foundation *foundation);

struct snapshot_context foundation_context(const struct foundation *foundation);
