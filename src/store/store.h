/* Stores: what gateways remember together. One interface, whatever holds it.
 *
 *     e = store_run(store, worker, &program, key, arguments, deadline, results);
 *
 * A store is runtime state: it is made with a snapshot, kept across reloads that change nothing
 * about it, and goes with the last snapshot that has it. It is used on fibers of workers. A caller
 * never waits longer than until its deadline, nor longer than the store's own timeout, and not at
 * all when it is known that nobody will answer.
 *
 *     STORE_UNAVAILABLE   nothing was asked
 *     TIMEOUT, CLOSED     it was asked and has not answered: it may have been done
 *     CANCELLED           the same; the caller is to end
 *     INVALID             it has answered, and could not do it
 *
 * To add a kind of store: a file with a struct store_ops. */
#pragma once

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/slice.h"
#include "base/status.h"

#define STORE_ARGUMENTS_MAX 8 /* numbers that a script takes, or gives back */
#define STORE_SHA_SIZE      41

/* A change of what one key holds that nobody else's comes between. */
struct store_script {
    const char *lua; /* KEYS[1] and ARGV in, a list of whole numbers out */
    unsigned arguments, results;
};

/* One with the digest by which servers know it. */
struct store_program {
    const struct store_script *script;
    char sha[STORE_SHA_SIZE];
};

struct store;

struct store_ops {
    enum status (*run)(struct store *store, unsigned worker, const struct store_program *program,
        struct slice key, const int64_t *arguments, instant deadline, int64_t *ret_results);
    void (*join)(struct store *store, unsigned worker);
    void (*describe)(const struct store *store, struct json_writer *writer);
};

struct store {
    const struct store_ops *ops;
    int64_t gateways; /* that share it */
};

/* NO_MEMORY. */
enum status store_program_init(struct store_program *program, const struct store_script *script);

/* Runs a script for a key. */
static inline enum status store_run(struct store *store, unsigned worker,
    const struct store_program *program, struct slice key, const int64_t *arguments,
    instant deadline, int64_t *ret_results)
{
    return store->ops->run(store, worker, program, key, arguments, deadline, ret_results);
}

/* A worker begins to serve with it; again is harmless. On the worker's thread. */
static inline void store_join(struct store *store, unsigned worker)
{
    store->ops->join(store, worker);
}

/* For status: one object. On the control thread. */
static inline void store_describe(const struct store *store, struct json_writer *writer)
{
    store->ops->describe(store, writer);
}
