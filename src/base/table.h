/* Hash tables from names to things: open addressing, SipHash under a key drawn for each table, so
 * that nobody who chooses the names can make it slow. Bounded; grows by doubling. Holds no text:
 * the bytes of a key must stay as long as its entry. One thread at a time, or many that only read.
 */
#pragma once

#include "base/hash.h"
#include "base/status.h"

struct table_entry {
    struct slice key; /* borrowed from whoever put it */
    void *value;      /* borrowed; NULL: the place is free */
    uint64_t hash;
};

struct table {
    struct table_entry *entries; /* owned; `places` of them */
    size_t places;               /* 0 or a power of two */
    size_t count, limit;
    struct hash_key key;
};

/* At most `limit` entries; takes no memory yet. */
void table_init(struct table *table, size_t limit);

/* Frees the table, not what is in it. It can be used again. */
void table_release(struct table *table);

/* `value` is not NULL. EXISTS when the name is taken (nothing changes then), FULL, NO_MEMORY. */
enum status table_put(struct table *table, struct slice key, void *value);

/* NULL when there is none. */
void *table_get(const struct table *table, struct slice key);

/* Takes the entry out and returns its value, or NULL. */
void *table_remove(struct table *table, struct slice key);

/* The used entry behind `entry`, or the first when it is NULL; NULL behind the last. */
struct table_entry *table_next(const struct table *table, struct table_entry *entry);

/* Walks all entries in no order that means anything. Nothing may be put or removed meanwhile. */
#define table_each(entry, table)                                       \
    for (struct table_entry *entry = table_next((table), NULL); entry; \
         entry = table_next((table), entry))
