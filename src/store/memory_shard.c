#include "store/memory_shard.h"

#include <stdlib.h>

#define TABLE_LIMIT ((size_t)1 << 32) /* more than bytes let in */
#define OVERHEAD    96                /* of tables and the allocator, an entry */

struct memory_value *memory_value_new(struct slice bytes)
{
    struct memory_value *value = malloc(sizeof *value + bytes.size);
    if (!value)
        return NULL;
    value->users = 1;
    value->size = bytes.size;
    if (bytes.size)
        memcpy(value->bytes, bytes.data, bytes.size);
    return value;
}

void memory_value_unref(struct memory_value *value)
{
    if (value && atomic_fetch_sub(&value->users, 1) == 1)
        free(value);
}

static struct slice key_of(const struct memory_entry *entry)
{
    return slice_of(entry->key, entry->key_size);
}

static struct memory_entry *entry_of(struct expiry_item *item)
{
    return item ? list_entry(item, struct memory_entry, end) : NULL;
}

size_t memory_cost(size_t key_size, size_t value_size)
{
    return sizeof(struct memory_entry) + sizeof(struct memory_value) + key_size + value_size +
           OVERHEAD;
}

size_t memory_entry_cost(const struct memory_entry *entry)
{
    return memory_cost(entry->key_size, entry->value->size);
}

/* What is looked at without the lock. */
static void publish(struct memory_shard *shard)
{
    const struct memory_entry *oldest = memory_shard_oldest(shard);
    const struct expiry_item *first = expiry_first(&shard->expiry);
    atomic_store_explicit(&shard->oldest, oldest ? oldest->used : NEVER, memory_order_relaxed);
    atomic_store_explicit(&shard->soonest, first ? first->when : NEVER, memory_order_relaxed);
}

void memory_shard_init(struct memory_shard *shard)
{
    pthread_mutex_init(&shard->mutex, NULL);
    table_init(&shard->table, TABLE_LIMIT);
    list_init(&shard->recent);
    expiry_init(&shard->expiry);
    publish(shard);
}

void memory_shard_release(struct memory_shard *shard)
{
    while (expiry_first(&shard->expiry))
        (void)memory_shard_remove(shard, entry_of(expiry_first(&shard->expiry)));
    expiry_release(&shard->expiry);
    table_release(&shard->table);
    pthread_mutex_destroy(&shard->mutex);
}

struct memory_entry *memory_shard_find(struct memory_shard *shard, struct slice key, int64_t now)
{
    struct memory_entry *entry = table_get(&shard->table, key);
    return entry && entry->end.when > now ? entry : NULL;
}

/* Where it stands among those that may go. */
static void place(struct memory_shard *shard, struct memory_entry *entry, bool is_lease)
{
    entry->is_lease = is_lease;
    entry->used = clock_now();
    list_remove(&entry->node);
    if (!is_lease)
        list_push_front(&shard->recent, &entry->node);
    publish(shard);
}

static struct memory_entry *new_entry(struct slice key, int64_t end)
{
    struct memory_entry *entry = calloc(1, sizeof *entry + key.size);
    if (!entry)
        return NULL;
    list_init(&entry->node);
    entry->end.when = end;
    entry->key_size = key.size;
    if (key.size)
        memcpy(entry->key, key.data, key.size);
    return entry;
}

struct memory_entry *memory_shard_add(struct memory_shard *shard, struct slice key,
    struct memory_value *value, int64_t end, bool is_lease)
{
    struct memory_entry *entry = new_entry(key, end);
    if (!entry)
        return NULL;
    if (!expiry_add(&shard->expiry, &entry->end)) {
        free(entry);
        return NULL;
    }
    if (table_put(&shard->table, key_of(entry), entry)) {
        expiry_remove(&shard->expiry, &entry->end);
        free(entry);
        return NULL;
    }
    entry->value = value;
    place(shard, entry, is_lease);
    return entry;
}

void memory_shard_touch(
    struct memory_shard *shard, struct memory_entry *entry, int64_t end, bool is_lease)
{
    if (end != entry->end.when)
        expiry_move(&shard->expiry, &entry->end, end);
    place(shard, entry, is_lease);
}

size_t memory_shard_remove(struct memory_shard *shard, struct memory_entry *entry)
{
    size_t cost = memory_entry_cost(entry);
    (void)table_remove(&shard->table, key_of(entry));
    expiry_remove(&shard->expiry, &entry->end);
    list_remove(&entry->node);
    memory_value_unref(entry->value);
    free(entry);
    publish(shard);
    return cost;
}

struct memory_entry *memory_shard_ended(struct memory_shard *shard, int64_t now)
{
    struct expiry_item *first = expiry_first(&shard->expiry);
    return first && first->when <= now ? entry_of(first) : NULL;
}

struct memory_entry *memory_shard_oldest(struct memory_shard *shard)
{
    return list_is_empty(&shard->recent)
               ? NULL
               : list_entry(shard->recent.previous, struct memory_entry, node);
}
