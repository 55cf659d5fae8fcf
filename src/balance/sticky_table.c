#include "balance/sticky_table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET 8

/* All zero: free. */
struct entry {
    _Atomic uint64_t key;   /* ^ value */
    _Atomic uint64_t value; /* the endpoint above, the second of the newest request below */
};

struct sticky_table {
    size_t mask;           /* buckets are a power of two */
    struct entry *entries; /* owned */
};

struct seen {
    uint64_t key, value;
};

enum status sticky_table_new(size_t keys, struct sticky_table **ret_table)
{
    size_t buckets = 1;
    while (buckets * BUCKET < keys)
        buckets *= 2;
    struct sticky_table *table = calloc(1, sizeof *table);
    if (!table)
        return NO_MEMORY;
    table->mask = buckets - 1;
    table->entries = aligned_alloc(64, buckets * BUCKET * sizeof *table->entries);
    if (!table->entries) {
        free(table);
        return NO_MEMORY;
    }
    memset(table->entries, 0, buckets * BUCKET * sizeof *table->entries);
    *ret_table = table;
    return OK;
}

void sticky_table_free(struct sticky_table *table)
{
    if (!table)
        return;
    free(table->entries);
    free(table);
}

static struct entry *bucket_of(const struct sticky_table *table, uint64_t key)
{
    return table->entries + (key & table->mask) * BUCKET;
}

static struct seen look(const struct entry *entry)
{
    uint64_t value = atomic_load_explicit(&entry->value, memory_order_acquire);
    return (struct seen){atomic_load_explicit(&entry->key, memory_order_acquire) ^ value, value};
}

static void write_entry(struct entry *entry, uint64_t key, uint64_t value)
{
    atomic_store_explicit(&entry->key, key ^ value, memory_order_release);
    atomic_store_explicit(&entry->value, value, memory_order_release);
}

static uint64_t value_of(uint32_t endpoint, uint32_t now)
{
    return (uint64_t)endpoint << 32 | now;
}

static bool is_fresh(uint64_t value, uint32_t timeout, uint32_t now)
{
    return value != 0 && now - (uint32_t)value <= timeout;
}

/* A second look, since another worker may have been writing at the first. */
static struct entry *find(const struct sticky_table *table, uint64_t key, uint64_t *ret_value)
{
    struct entry *bucket = bucket_of(table, key);
    for (int i = 0; i < 2 * BUCKET; i++) {
        struct seen seen = look(&bucket[i % BUCKET]);
        if (seen.key != key || !seen.value)
            continue;
        *ret_value = seen.value;
        return &bucket[i % BUCKET];
    }
    return NULL;
}

uint32_t sticky_table_find(struct sticky_table *table, uint64_t key, uint32_t timeout, uint32_t now)
{
    uint64_t value;
    struct entry *entry = find(table, key, &value);
    if (!entry || !is_fresh(value, timeout, now))
        return 0;
    if ((uint32_t)value != now)
        write_entry(entry, key, value_of((uint32_t)(value >> 32), now));
    return (uint32_t)(value >> 32);
}

void sticky_table_put(struct sticky_table *table, uint64_t key, uint32_t endpoint, uint32_t now)
{
    uint64_t value;
    struct entry *entry = find(table, key, &value), *bucket = bucket_of(table, key);
    uint32_t oldest = 0;
    for (int i = 0; !entry && i < BUCKET; i++)
        if (look(&bucket[i]).value == 0)
            entry = &bucket[i];
    for (int i = 0; !entry && i < BUCKET; i++) {
        uint32_t age = now - (uint32_t)look(&bucket[i]).value;
        oldest = age > oldest ? age : oldest;
    }
    for (int i = 0; !entry && i < BUCKET; i++)
        if (now - (uint32_t)look(&bucket[i]).value >= oldest)
            entry = &bucket[i];
    write_entry(entry ? entry : bucket, key, value_of(endpoint, now));
}

void sticky_table_drop(struct sticky_table *table, uint64_t key)
{
    uint64_t value;
    struct entry *entry = find(table, key, &value);
    if (!entry)
        return;
    atomic_store_explicit(&entry->value, 0, memory_order_release);
    atomic_store_explicit(&entry->key, 0, memory_order_release);
}

size_t sticky_table_count(const struct sticky_table *table, uint32_t timeout, uint32_t now)
{
    size_t count = 0;
    for (size_t i = 0; i < (table->mask + 1) * BUCKET; i++)
        count += is_fresh(look(&table->entries[i]).value, timeout, now);
    return count;
}
