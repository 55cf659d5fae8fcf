#include "base/table.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/random.h"

#define FIRST_PLACES 8

void table_init(struct table *table, size_t limit)
{
    *table = (struct table){.limit = limit};
    random_bytes(&table->key, sizeof table->key);
}

void table_release(struct table *table)
{
    free(table->entries);
    *table = (struct table){.limit = table->limit, .key = table->key};
}

/* Where the key is, or the free place where it would go. There always is a free one. */
static size_t find(const struct table *table, struct slice key, uint64_t hash)
{
    size_t at = hash & (table->places - 1);
    for (;; at = (at + 1) & (table->places - 1)) {
        const struct table_entry *entry = &table->entries[at];
        if (!entry->value || (entry->hash == hash && slice_equal(entry->key, key)))
            return at;
    }
}

static enum status grow(struct table *table)
{
    struct table larger = *table;
    larger.places = table->places ? table->places * 2 : FIRST_PLACES;
    larger.entries = calloc(larger.places, sizeof *larger.entries);
    if (!larger.entries)
        return NO_MEMORY;
    table_each (entry, table)
        larger.entries[find(&larger, entry->key, entry->hash)] = *entry;
    free(table->entries);
    *table = larger;
    return OK;
}

enum status table_put(struct table *table, struct slice key, void *value)
{
    must(value);
    uint64_t hash = hash_keyed(key, table->key);
    if (table->places && table->entries[find(table, key, hash)].value)
        return EXISTS;
    if (table->count >= table->limit)
        return FULL;
    if (table->count + 1 > table->places / 4 * 3) {
        enum status e = grow(table);
        if (e)
            return e;
    }
    table->entries[find(table, key, hash)] = (struct table_entry){key, value, hash};
    table->count++;
    return OK;
}

void *table_get(const struct table *table, struct slice key)
{
    if (!table->count)
        return NULL;
    return table->entries[find(table, key, hash_keyed(key, table->key))].value;
}

/* Closes the hole at `hole`: what stands behind it without a gap, and could stand in it, moves up.
 */
static void close_hole(struct table *table, size_t hole)
{
    size_t mask = table->places - 1;
    for (size_t at = (hole + 1) & mask; table->entries[at].value; at = (at + 1) & mask) {
        size_t home = table->entries[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* its home lies behind the hole */
        table->entries[hole] = table->entries[at];
        hole = at;
    }
    table->entries[hole] = (struct table_entry){0};
}

void *table_remove(struct table *table, struct slice key)
{
    if (!table->count)
        return NULL;
    size_t at = find(table, key, hash_keyed(key, table->key));
    void *value = table->entries[at].value;
    if (value) {
        close_hole(table, at);
        table->count--;
    }
    return value;
}

struct table_entry *table_next(const struct table *table, struct table_entry *entry)
{
    size_t at = entry ? (size_t)(entry - table->entries) + 1 : 0;
    for (; at < table->places; at++)
        if (table->entries[at].value)
            return &table->entries[at];
    return NULL;
}
