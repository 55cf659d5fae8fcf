/* The service plane: what all services of the process share. For the files of this folder.
 *
 * Threads. The control thread makes and retires services, follows sources and runs checks. A worker
 * uses what was made for it (its views, its pools) without a lock. They talk by messages. The mutex
 * guards only what is rare: the list of endpoints, and who has left. */
#pragma once

#include <pthread.h>

#include "base/hash.h"
#include "base/table.h"
#include "run/mailbox.h"
#include "service/service.h"
#include "service/sweep.h"

struct resolver;
struct tls_authorities;

struct service_plane {
    struct service_plane_options options; /* borrowed inside */
    pthread_mutex_t mutex;
    struct list endpoints;           /* guarded: all that still have memory */
    struct scope *asides;            /* owned; by worker: what outlives exchanges (aside.h) */
    _Atomic uint32_t endpoint_count; /* of them */
    bool *has_left;                  /* owned; guarded: by worker */
    struct resolver **resolvers;     /* owned; each its worker's alone; NULL: not needed yet */
    _Atomic uint32_t change;         /* moves when an endpoint goes up or down */
    _Atomic int64_t risen;           /* instant at which an endpoint last began or came back */
    struct sweep sweep;
    struct hash_key session_key; /* of sessions in tables */
    unsigned char secret[32];    /* of cookies, where none is configured */

    /* Of the control thread alone. */
    struct text orders;                  /* owned: what operators told a predecessor (order.h) */
    struct text instances_before;        /* owned: who registered with it (instances.h) */
    struct list guards;                  /* guarded: of the services that were ever used */
    struct table guard_names;            /* of the control thread */
    struct list rosters;                 /* all that still have memory */
    struct list instances;               /* of services whose instances register themselves */
    struct list finders;                 /* all that are in use */
    uint32_t builds;                     /* sets that were ever built (endpoint_set.c) */
    struct table service_ids;            /* names that were ever seen, owned, with their numbers */
    struct resolver *resolver;           /* owned; made when a name first needs it */
    struct tls_authorities *authorities; /* counted: the system's; read when first needed */
    struct command_gate *commands;       /* counted: for checks that run a program */
};

/* Posts to a worker's loop. False when the worker has left: nobody will deliver it. From any
 * thread. */
bool plane_post(struct service_plane *plane, unsigned worker, struct message *message);

/* The number of a service's name, stable while the process lives; 0 without memory. */
uint32_t plane_service_id(struct service_plane *plane, struct slice name);

/* NULL when there can be none. */
struct resolver *plane_resolver(struct service_plane *plane);

/* The system's certificate authorities; NULL when they cannot be read. */
struct tls_authorities *plane_authorities(struct service_plane *plane);

/* Of the calling worker. */
static inline struct metrics_shard *plane_shard(const struct service_plane *plane, unsigned worker)
{
    return plane->options.shards[worker];
}
