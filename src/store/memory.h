/* Memory as a store: the process' own, shared by its workers, bounded in bytes.
 *
 * Keys are spread over shards, each with a lock that is held for a look into a hash table, and
 * never while a large value is copied: values are counted, and never change. Nobody waits for
 * anything else, so that any thread may ask.
 *
 * The bound holds over all shards. Where something new finds no room, what has ended goes first,
 * then what has not been used for longest, whichever shard it is in; leases stay (store.h). */
#pragma once

#include "store/store.h"

struct memory;

struct memory_facts {
    uint64_t bytes, limit, entries;
    uint64_t evicted; /* before their time */
    uint64_t refused; /* for there was nothing but leases */
};

#define MEMORY_LIMIT_MIN ((size_t)4 << 20)

/* NO_MEMORY. */
enum status memory_new(size_t limit, struct memory **ret_memory);
void memory_free(struct memory *memory); /* NULL is fine */

struct store *memory_store(struct memory *memory);

/* Before it is used: where its messages go. */
void memory_set_bus(struct memory *memory, struct store_bus *bus);

/* From any thread: how many bytes it may hold from now on. What is too much by then goes when
 * something new comes. */
void memory_set_limit(struct memory *memory, size_t limit);

struct memory_facts memory_read_facts(const struct memory *memory);
