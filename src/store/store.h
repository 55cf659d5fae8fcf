/* Stores: what requests, workers and gateways remember together. One interface, whatever holds it.
 *
 *     e = store_add(store, worker, key, value, ttl, deadline, arena, &there);
 *     if (e == CONFLICT)
 *         ... somebody was first, and has put `there` ...
 *
 * There are four. *Memory* is this process' own: bounded, so that the oldest idle goes before its
 * time when there is no room, and gone when the process ends. The *durable* one is a file of this
 * machine: what was written is there after a crash. The *shared* one is a server that all gateways
 * use: Redis, or PostgreSQL. A policy takes from struct store_choice the one that it wants, and
 * nothing else differs.
 *
 * Keys are of up to STORE_KEY_MAX bytes, values of up to STORE_VALUE_MAX; more is TOO_LARGE. What
 * is written is there for `ttl` nanoseconds, at least 1, and is then as if it had never been.
 *
 * A *lease* is what store_add has brought in, and whatever renews it: store_swap from a value to
 * the same value. A store that is bounded lets no lease go before its time: rather than that it is
 * STORE_UNAVAILABLE for what is new. Another value in its place is no lease.
 *
 * A store is runtime state: it is made with a snapshot, kept across reloads that change nothing
 * about it, and goes with the last snapshot that has it. It is used on fibers of workers. A caller
 * never waits longer than until its deadline, nor longer than the store's own timeout, and not at
 * all when it is known that nobody will answer.
 *
 *     STORE_UNAVAILABLE   nothing was asked, and nothing done
 *     TIMEOUT, CLOSED     it was asked and has not answered: it may have been done
 *     CANCELLED           the same; the caller is to end
 *     INVALID             it has answered, and could not do it
 *     NO_MEMORY           nothing was done
 *
 * To add a kind of store: a file with a struct store_ops (store_ops.h). */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"

#include <stdatomic.h>

#define STORE_KEY_MAX       ((size_t)384)
#define STORE_VALUE_MAX     ((size_t)2 << 20)
#define STORE_ARGUMENTS_MAX 8 /* numbers that a script takes, or gives back */
#define STORE_SHA_SIZE      41

#define STORE_CHANNEL_MAX   ((size_t)128)
#define STORE_MESSAGE_MAX   ((size_t)64 << 10)

struct store_ops;
struct store_bus;

struct store {
    const struct store_ops *ops;
    _Atomic int64_t gateways; /* that share it, as far as is known */
    struct store_bus *bus;    /* borrowed: messages of this process; NULL: it has none */
};

/* How many gateways share it, as far as is known; at least 1. From any thread. */
static inline int64_t store_gateways(const struct store *store)
{
    return atomic_load_explicit(&store->gateways, memory_order_relaxed);
}

/* Those that there are. All borrowed. */
struct store_choice {
    struct store *memory;   /* always there in a gateway that serves */
    struct store *durable;  /* or NULL */
    struct store *redis;    /* or NULL */
    struct store *postgres; /* or NULL */
    struct store *shared;   /* the first of the two that there is, or NULL */
};

/* What most know of and what lasts longest: the shared one, else the durable one, else memory. */
static inline struct store *store_best(const struct store_choice *stores)
{
    return stores->shared ? stores->shared : stores->durable ? stores->durable : stores->memory;
}

/* What the key holds. NOT_FOUND when that is nothing. The value is the arena's. */
enum status store_get(struct store *store, unsigned worker, struct slice key, instant deadline,
    struct arena *arena, struct slice *ret_value);

/* Puts it there, whatever was there before. */
enum status store_set(struct store *store, unsigned worker, struct slice key, struct slice value,
    int64_t ttl, instant deadline);

/* Puts it there if nothing is. CONFLICT: something is, and is *ret_there, in the arena; this one
 * result is given with a failure. */
enum status store_add(struct store *store, unsigned worker, struct slice key, struct slice value,
    int64_t ttl, instant deadline, struct arena *arena, struct slice *ret_there);

/* Puts it in the place of `expected`, and is so long there from now on; a value of null data takes
 * away what is there. CONFLICT: something else is there, or nothing. */
enum status store_swap(struct store *store, unsigned worker, struct slice key,
    struct slice expected, struct slice value, int64_t ttl, instant deadline);

/* Adds to a number, which is 0 where nothing is; it is there for `ttl` from then on, however often
 * it is added to. Its text in decimal is what store_get finds. INVALID when something else is
 * there, or the sum is out of bounds. */
enum status store_count(struct store *store, unsigned worker, struct slice key, int64_t delta,
    int64_t ttl, instant deadline, int64_t *ret_sum);

/* --- scripts: a change of what one key holds that nobody else's comes between */

/* What a script in C sees of a key, and what it leaves there. */
struct store_cell {
    struct slice value; /* what the key holds; null data: nothing */
    int64_t now;        /* nanoseconds since 1970 */
    struct text *next;  /* empty: its new value, up to STORE_VALUE_MAX bytes, is written here */
    int64_t ttl;        /* 0, as it comes: all stays as it is, `next` is not looked at; > 0: `next`
                           is there for so long; < 0: the key holds nothing any more */
};

/* In Lua, for servers, and in C, for stores that hold the value themselves. Both mean the same to
 * who runs them, that is give back the same numbers; what they keep under the key is each one's
 * own. */
struct store_script {
    const char *lua; /* KEYS[1] and ARGV in, a list of whole numbers out */
    unsigned arguments, results;
    /* The key is locked meanwhile: it is quick, and waits for nothing. A value that it cannot read
     * is as none. */
    void (*run)(const struct store_script *script, struct store_cell *cell,
        const int64_t *arguments, int64_t *ret_results);
};

/* One with the digest by which servers know it. */
struct store_program {
    const struct store_script *script;
    char sha[STORE_SHA_SIZE];
};

/* NO_MEMORY. */
enum status store_program_init(struct store_program *program, const struct store_script *script);

/* Runs a script for a key. */
enum status store_run(struct store *store, unsigned worker, const struct store_program *program,
    struct slice key, const int64_t *arguments, instant deadline, int64_t *ret_results);

/* --- messages: what is said to all who listen, and kept for nobody
 *
 *     listener = (struct store_listener){.channel = SLICE("ended"), .begin = begin, .hear = hear};
 *     e = store_subscribe(store, &listener);          ... later: store_unsubscribe(&listener);
 *     e = store_publish(store, worker, SLICE("ended"), message, deadline);
 *
 * Who listens at a store hears what is published there, in this process and, where the store is a
 * server, by every gateway that uses it: the publisher's own listeners too, by the same way. Stores
 * in memory and in a file reach this process alone.
 *
 * Each message is heard at most once. What one fiber publishes on a channel is heard in its order;
 * between fibers, workers and gateways there is none. A message may be lost: while there is no
 * connection to the server, and when more than 4096 messages, or 4 MiB, have come that this
 * process' listeners have not heard yet; then the newest are. weir_store_messages_total counts
 * those that were heard and those that were lost here. Whatever was lost, and wherever, `begin`
 * is called when messages are heard again, after a failover of Sentinels and of a cluster as well.
 * So who listens keeps nothing alive by messages alone: he looks at the store at `begin`, and now
 * and then. */

struct store_listener {
    /* The caller's, which keeps them as they are: */
    struct slice channel; /* up to STORE_CHANNEL_MAX bytes */
    /* From now on messages are heard; there may have been some before that were not. Comes first,
     * again after each loss, and sometimes without one. Or NULL. */
    void (*begin)(struct store_listener *listener);
    /* One message; it is gone after the call. */
    void (*hear)(struct store_listener *listener, struct slice message);

    /* The store's: */
    struct list node;
    struct store *store;
};

/* The listener's functions are called on the control thread, one at a time, outside any fiber: they
 * are quick and wait for nothing. The memory is the caller's, until it unsubscribes. On the control
 * thread, before the store's last snapshot goes. TOO_LARGE, NO_MEMORY. */
enum status store_subscribe(struct store *store, struct store_listener *listener);

/* Nothing is heard from now on. Harmless when it was never subscribed and is cleared. */
void store_unsubscribe(struct store_listener *listener);

/* OK: it is on its way; that somebody hears it is not said. As a question to the store otherwise;
 * TOO_LARGE beyond STORE_MESSAGE_MAX. */
enum status store_publish(struct store *store, unsigned worker, struct slice channel,
    struct slice message, instant deadline);

/* --- its life */

/* A worker begins to serve with it; again is harmless. On the worker's thread. */
void store_join(struct store *store, unsigned worker);

/* For status: one object. On the control thread. */
void store_describe(const struct store *store, struct json_writer *writer);
