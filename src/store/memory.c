#include "store/memory.h"

#include <stdlib.h>

#include "base/random.h"
#include "store/memory_shard.h"
#include "store/store_ops.h"

#define SHARDS     64
#define SWEEP_STEP 4 /* ended entries that a question takes out on its way */

struct memory {
    struct store store; /* first */
    struct store_clock clock;
    struct hash_key hash_key;
    _Atomic uint64_t bytes, limit, entries, evicted, refused;
    struct memory_shard shards[SHARDS];
};

/* --- room */

static void drop(struct memory *memory, struct memory_shard *shard, struct memory_entry *entry)
{
    atomic_fetch_sub(&memory->bytes, memory_shard_remove(shard, entry));
    atomic_fetch_sub(&memory->entries, 1);
}

static void sweep(struct memory *memory, struct memory_shard *shard, int64_t now)
{
    struct memory_entry *entry;
    for (int i = 0; i < SWEEP_STEP && (entry = memory_shard_ended(shard, now)); i++)
        drop(memory, shard, entry);
}

/* Counts so many bytes more, if they may be. */
static bool reserve(struct memory *memory, size_t bytes)
{
    if (atomic_fetch_add(&memory->bytes, bytes) + bytes <= atomic_load(&memory->limit))
        return true;
    atomic_fetch_sub(&memory->bytes, bytes);
    return false;
}

/* The shard that holds the oldest of what may go; one with something that has ended goes before.
 * NULL: there is none. */
static struct memory_shard *find_victim(struct memory *memory, int64_t now)
{
    struct memory_shard *victim = NULL;
    int64_t oldest = NEVER;
    for (int i = 0; i < SHARDS; i++) {
        struct memory_shard *shard = &memory->shards[i];
        int64_t used = atomic_load_explicit(&shard->oldest, memory_order_relaxed);
        if (atomic_load_explicit(&shard->soonest, memory_order_relaxed) <= now)
            return shard;
        if (used < oldest) {
            oldest = used;
            victim = shard;
        }
    }
    return victim;
}

static void evict(struct memory *memory, struct memory_shard *shard, int64_t now)
{
    pthread_mutex_lock(&shard->mutex);
    struct memory_entry *entry = memory_shard_ended(shard, now);
    if (!entry) {
        entry = memory_shard_oldest(shard);
        if (entry)
            atomic_fetch_add(&memory->evicted, 1);
    }
    if (entry)
        drop(memory, shard, entry);
    pthread_mutex_unlock(&shard->mutex);
}

static bool make_room(struct memory *memory, size_t bytes)
{
    int64_t now = store_clock_read(&memory->clock);
    while (atomic_load(&memory->bytes) + bytes > atomic_load(&memory->limit)) {
        struct memory_shard *victim = find_victim(memory, now);
        if (!victim) {
            atomic_fetch_add(&memory->refused, 1);
            return false;
        }
        evict(memory, victim, now);
    }
    return true;
}

/* --- questions */

/* One on its way. */
struct asking {
    struct memory *memory;
    struct memory_shard *shard;
    struct store_question *question;
    struct memory_value *ready; /* counted: the question's value, copied before the lock; or NULL */
    struct memory_value *there; /* counted: to be told */
    size_t missing;             /* bytes that there was no room for */
};

static struct memory_value *take_value(struct asking *asking, const struct store_verdict *verdict)
{
    struct memory_value *value = asking->ready;
    if (!value || verdict->value.data != asking->question->value.data)
        return memory_value_new(verdict->value);
    asking->ready = NULL;
    return value;
}

/* Puts a value under a key; counted already. */
static bool put(struct asking *asking, struct memory_entry *entry,
    const struct store_verdict *verdict, int64_t now)
{
    struct memory_value *value = take_value(asking, verdict);
    int64_t end = clock_after(now, verdict->ttl);
    if (!value)
        return false;
    if (!entry) {
        if (!memory_shard_add(
                asking->shard, asking->question->key, value, end, verdict->is_lease)) {
            memory_value_unref(value);
            return false;
        }
        atomic_fetch_add(&asking->memory->entries, 1);
        return true;
    }
    memory_value_unref(entry->value);
    entry->value = value;
    memory_shard_touch(
        asking->shard, entry, verdict->ttl ? end : entry->end.when, verdict->is_lease);
    return true;
}

/* STORE_UNAVAILABLE: there is no room, nothing was done. */
static enum status write(struct asking *asking, struct memory_entry *entry,
    const struct store_verdict *verdict, int64_t now)
{
    struct memory *memory = asking->memory;
    size_t before = entry ? memory_entry_cost(entry) : 0;
    size_t after = memory_cost(asking->question->key.size, verdict->value.size);
    if (after > before && !reserve(memory, after - before)) {
        asking->missing = after - before;
        return STORE_UNAVAILABLE;
    }
    bool is_put = put(asking, entry, verdict, now);
    if (after > before && !is_put)
        atomic_fetch_sub(&memory->bytes, after - before);
    if (after < before && is_put)
        atomic_fetch_sub(&memory->bytes, before - after);
    return is_put ? OK : NO_MEMORY;
}

static enum status carry_out(struct asking *asking, struct memory_entry *entry,
    const struct store_verdict *verdict, int64_t now)
{
    if (entry && verdict->tells) {
        asking->there = entry->value;
        atomic_fetch_add(&entry->value->users, 1);
    }
    switch (verdict->change) {
    case STORE_WRITE:
        return write(asking, entry, verdict, now);
    case STORE_REMOVE:
        if (entry)
            drop(asking->memory, asking->shard, entry);
        return OK;
    case STORE_KEEP:
        if (entry)
            memory_shard_touch(asking->shard, entry, entry->end.when, entry->is_lease);
        return OK;
    }
    return OK;
}

static enum status ask_once(struct asking *asking)
{
    struct store_question *question = asking->question;
    struct memory_shard *shard = asking->shard;
    struct store_verdict verdict;
    pthread_mutex_lock(&shard->mutex);
    int64_t now = store_clock_read(&asking->memory->clock);
    struct memory_entry *entry = memory_shard_find(shard, question->key, now);
    if (!entry) {
        entry = table_get(&shard->table, question->key);
        if (entry) /* it has ended */
            drop(asking->memory, shard, entry);
        entry = NULL;
    }
    sweep(asking->memory, shard, now);
    enum status e = store_judge(question, entry ? memory_value_slice(entry->value) : SLICE_NONE,
        entry && entry->is_lease, now, &verdict);
    enum status done = carry_out(asking, entry, &verdict, now);
    pthread_mutex_unlock(&shard->mutex);
    store_verdict_release(&verdict);
    return e ? e : done;
}

/* What was there, for the caller. */
static enum status tell(struct asking *asking)
{
    struct store_question *question = asking->question;
    if (!asking->there)
        return OK;
    question->there = arena_copy(question->arena, memory_value_slice(asking->there));
    return question->there.data ? OK : NO_MEMORY;
}

static bool brings_value(const struct store_question *question)
{
    return question->value.data && (question->verb == STORE_SET || question->verb == STORE_ADD ||
                                       question->verb == STORE_SWAP);
}

static struct memory_shard *shard_of(struct memory *memory, struct slice key)
{
    return &memory->shards[hash_keyed(key, memory->hash_key) % SHARDS];
}

static enum status ask(struct store *store, struct store_question *question)
{
    struct memory *memory = (struct memory *)store;
    struct asking asking = {
        .memory = memory, .shard = shard_of(memory, question->key), .question = question};
    if (brings_value(question)) {
        asking.ready = memory_value_new(question->value);
        if (!asking.ready)
            return NO_MEMORY;
    }
    enum status e;
    do
        e = ask_once(&asking);
    while (e == STORE_UNAVAILABLE && make_room(memory, asking.missing));
    enum status told = tell(&asking);
    memory_value_unref(asking.ready);
    memory_value_unref(asking.there);
    return told ? told : e;
}

static void describe(const struct store *store, struct json_writer *writer)
{
    struct memory_facts facts = memory_read_facts((const struct memory *)store);
    json_write_object(writer);
    json_put_u64(writer, "bytes", facts.bytes);
    json_put_u64(writer, "limit", facts.limit);
    json_put_u64(writer, "entries", facts.entries);
    json_put_u64(writer, "evicted", facts.evicted);
    json_put_u64(writer, "refused", facts.refused);
    json_write_object_end(writer);
}

static const struct store_ops memory_ops = {.ask = ask, .describe = describe};

/* --- its life */

enum status memory_new(size_t limit, struct memory **ret_memory)
{
    struct memory *memory = aligned_alloc(_Alignof(struct memory), sizeof *memory);
    if (!memory)
        return NO_MEMORY;
    memset(memory, 0, sizeof *memory);
    memory->store = (struct store){.ops = &memory_ops, .gateways = 1};
    memory->clock = store_clock_now();
    memory->limit = limit;
    random_bytes(&memory->hash_key, sizeof memory->hash_key);
    for (int i = 0; i < SHARDS; i++)
        memory_shard_init(&memory->shards[i]);
    *ret_memory = memory;
    return OK;
}

void memory_free(struct memory *memory)
{
    if (!memory)
        return;
    for (int i = 0; i < SHARDS; i++)
        memory_shard_release(&memory->shards[i]);
    free(memory);
}

struct store *memory_store(struct memory *memory)
{
    return &memory->store;
}

void memory_set_bus(struct memory *memory, struct store_bus *bus)
{
    memory->store.bus = bus;
}

void memory_set_limit(struct memory *memory, size_t limit)
{
    atomic_store(&memory->limit, limit);
}

struct memory_facts memory_read_facts(const struct memory *memory)
{
    return (struct memory_facts){.bytes = memory->bytes,
        .limit = memory->limit,
        .entries = memory->entries,
        .evicted = memory->evicted,
        .refused = memory->refused};
}
