/* A part of memory.h's keys, under one lock. For memory.c alone. Who calls holds the lock, where
 * nothing else is said. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/table.h"
#include "store/expiry.h"

/* Bytes that never change, for as long as somebody counts on them. */
struct memory_value {
    _Atomic unsigned users;
    size_t size;
    char bytes[];
};

struct memory_value *memory_value_new(struct slice bytes); /* NULL: no memory */
void memory_value_unref(struct memory_value *value);       /* NULL is fine; from any thread */

static inline struct slice memory_value_slice(const struct memory_value *value)
{
    return slice_of(value->bytes, value->size);
}

struct memory_entry {
    struct expiry_item end;     /* by the store's clock */
    struct list node;           /* in `recent`; of a lease in none */
    struct memory_value *value; /* counted */
    instant used;
    bool is_lease;
    size_t key_size;
    char key[];
};

struct memory_shard {
    _Alignas(64) pthread_mutex_t mutex;
    struct table table;   /* of struct memory_entry, owned */
    struct list recent;   /* that may go before their time, newest first */
    struct expiry expiry; /* all */
    /* For a look without the lock: when the oldest of `recent` was used, and when the first of all
     * ends; NEVER: there is none. */
    _Atomic int64_t oldest, soonest;
};

void memory_shard_init(struct memory_shard *shard);
void memory_shard_release(struct memory_shard *shard);

/* What an entry is counted as, with all that it needs. */
size_t memory_cost(size_t key_size, size_t value_size);
size_t memory_entry_cost(const struct memory_entry *entry);

/* NULL when there is none, or it has ended. */
struct memory_entry *memory_shard_find(struct memory_shard *shard, struct slice key, int64_t now);

/* Brings in a new key; the value is the entry's from then on. NULL: no memory. */
struct memory_entry *memory_shard_add(struct memory_shard *shard, struct slice key,
    struct memory_value *value, int64_t end, bool is_lease);

/* It has been used, and ends then; or is a lease, or none any more. */
void memory_shard_touch(
    struct memory_shard *shard, struct memory_entry *entry, int64_t end, bool is_lease);

/* Takes it out; returns its cost. */
size_t memory_shard_remove(struct memory_shard *shard, struct memory_entry *entry);

/* The first that has ended, the one that was used longest ago of those that may go; or NULL. */
struct memory_entry *memory_shard_ended(struct memory_shard *shard, int64_t now);
struct memory_entry *memory_shard_oldest(struct memory_shard *shard);
