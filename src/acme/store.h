/* Where accounts, orders and certificates are kept: a small interface, so that several gateways can
 * share them. Behind it now is a folder; what else can keep a few kilobytes by name and lend a lock
 * (Redis) fits as well.
 *
 * Names are paths of letters, digits, '.', '-', '_' and '/' ("account/key", "certificate/a.example/
 * chain"). On the control thread. */
#pragma once

#include "base/arena.h"
#include "base/status.h"

struct acme_store;

struct acme_store_ops {
    /* NOT_FOUND, TOO_LARGE, IO_ERROR, NO_MEMORY. */
    enum status (*get)(
        struct acme_store *store, struct slice name, struct arena *arena, struct slice *ret_value);
    /* All of it or nothing, also when the machine stops meanwhile. For nobody else's eyes. */
    enum status (*put)(struct acme_store *store, struct slice name, struct slice value);
    /* Harmless when there is none. */
    void (*drop)(struct acme_store *store, struct slice name);
    /* One holder at a time, among all that share the store. FULL: somebody else has it now. */
    enum status (*lock)(struct acme_store *store, struct slice name, void **ret_lock);
    void (*unlock)(struct acme_store *store, void *lock);
    void (*free)(struct acme_store *store);
};

struct acme_store {
    const struct acme_store_ops *ops;
};

#define ACME_VALUE_MAX ((size_t)1 << 20)

/* A folder, made when something is first put there (with those above it). */
enum status acme_store_open(struct slice path, struct acme_store **ret_store);

static inline void acme_store_free(struct acme_store *store)
{
    if (store)
        store->ops->free(store);
}
