/* A rig for the store floor: the stores of a process with one worker, on the test's own loop, and a
 * Redis server if one is wanted. */
#pragma once

#include <sys/types.h>

#include "store/stores.h"
#include "support/postgres_server.h"
#include "support/world.h"

#define STORE_RIG_PATH_MAX 64

struct store_rig {
    struct world *world; /* owned */
    struct loop *loops[1];
    struct service_plane *plane;
    struct stores *stores;
    char folder[STORE_RIG_PATH_MAX]; /* a fresh one, removed at the end */
    pid_t redis;                     /* 0: none */
};

struct store_rig *store_rig_new(void);
void store_rig_free(struct store_rig *rig);

/* Starts a server, and gives a store on it that the worker has joined and that is patient. */
struct store *store_rig_redis(struct store_rig *rig);

/* The same on that server, in a table of its own. */
struct store *store_rig_postgres(struct store_rig *rig, const struct postgres_server *server);

/* The same in a file of the rig's folder; again is the same file. */
struct store *store_rig_durable(struct store_rig *rig);
