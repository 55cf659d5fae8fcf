#include "policy/limit_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/must.h"
#include "base/random.h"

#define LINE_ENTRIES 4
#define CHOICES      (2 * LINE_ENTRIES)
#define KEYS_MIN     64

/* Tags that are no key's. */
#define TAG_FREE 0
#define TAG_BUSY 1 /* its time is being cleared for another key */
#define TAG_MIN  2

struct entry {
    _Atomic uint64_t tag;
    _Atomic int64_t full_at; /* ticks since `begin` */
};

struct line {
    _Alignas(64) struct entry entries[LINE_ENTRIES];
};

struct limit_table {
    struct line *lines; /* owned */
    uint64_t mask;      /* lines are a power of two */
    struct hash_key hash_key;
    instant begin;
    pthread_mutex_t locks[LIMIT_TABLE_LOCKS];
};

/* Where a key may be. */
struct choices {
    uint64_t tag;
    struct entry *entries[CHOICES];
};

enum status limit_table_new(size_t keys, struct limit_table **ret_table)
{
    if (keys < KEYS_MIN)
        keys = KEYS_MIN;
    size_t lines = 1;
    while (lines * LINE_ENTRIES < keys && lines < SIZE_MAX / 2 / sizeof(struct line))
        lines *= 2;
    struct limit_table *table = calloc(1, sizeof *table);
    if (!table)
        return NO_MEMORY;
    table->lines = aligned_alloc(_Alignof(struct line), lines * sizeof(struct line));
    if (!table->lines) {
        free(table);
        return NO_MEMORY;
    }
    memset(table->lines, 0, lines * sizeof(struct line));
    table->mask = lines - 1;
    table->begin = clock_now();
    random_bytes(&table->hash_key, sizeof table->hash_key);
    for (int i = 0; i < LIMIT_TABLE_LOCKS; i++)
        pthread_mutex_init(&table->locks[i], NULL);
    *ret_table = table;
    return OK;
}

void limit_table_free(struct limit_table *table)
{
    if (!table)
        return;
    for (int i = 0; i < LIMIT_TABLE_LOCKS; i++)
        pthread_mutex_destroy(&table->locks[i]);
    free(table->lines);
    free(table);
}

static struct choices choices_of(struct limit_table *table, struct slice key)
{
    uint64_t hash = hash_keyed(key, table->hash_key);
    struct choices choices = {.tag = hash < TAG_MIN ? hash + TAG_MIN : hash};
    uint64_t first = hash & table->mask;
    uint64_t second = hash >> 32 & table->mask;
    if (second == first)
        second = (first + 1) & table->mask;
    for (int i = 0; i < LINE_ENTRIES; i++) {
        choices.entries[i] = &table->lines[first].entries[i];
        choices.entries[LINE_ENTRIES + i] = &table->lines[second].entries[i];
    }
    return choices;
}

static struct entry *find(const struct choices *choices)
{
    for (int i = 0; i < CHOICES; i++)
        if (atomic_load(&choices->entries[i]->tag) == choices->tag)
            return choices->entries[i];
    return NULL;
}

/* The entry of a line that will be full soonest, NULL if all are being cleared; and how many are
 * full at `now`. */
static struct entry *soonest_of_line(struct entry *const *entries, int64_t now, int *ret_full)
{
    struct entry *soonest = NULL;
    int64_t soonest_at = INT64_MAX;
    *ret_full = 0;
    for (int i = 0; i < LINE_ENTRIES; i++) {
        int64_t full_at = atomic_load(&entries[i]->full_at);
        if (atomic_load(&entries[i]->tag) == TAG_BUSY)
            continue;
        *ret_full += full_at <= now;
        if (full_at < soonest_at) {
            soonest = entries[i];
            soonest_at = full_at;
        }
    }
    return soonest;
}

/* The entry that shall make room: one of the emptier line, so that lines fill evenly; if none is
 * free, the one that will be full soonest. */
static struct entry *find_victim(const struct choices *choices, int64_t now)
{
    int full[2];
    struct entry *a = soonest_of_line(choices->entries, now, &full[0]);
    struct entry *b = soonest_of_line(choices->entries + LINE_ENTRIES, now, &full[1]);
    if (!a || !b)
        return a ? a : b;
    if (full[0] != full[1])
        return full[0] > full[1] ? a : b;
    return atomic_load(&a->full_at) <= atomic_load(&b->full_at) ? a : b;
}

/* Makes an entry the key's. Other keys (under other locks) may want the same one: whoever turns its
 * tag to BUSY has it. */
static struct entry *claim(const struct choices *choices, int64_t now)
{
    for (;;) {
        struct entry *victim = find_victim(choices, now);
        if (!victim)
            continue; /* all are being cleared at this moment */
        uint64_t old = atomic_load(&victim->tag);
        if (old == TAG_BUSY || !atomic_compare_exchange_strong(&victim->tag, &old, TAG_BUSY))
            continue;
        atomic_store(&victim->full_at, 0);
        atomic_store(&victim->tag, choices->tag);
        return victim;
    }
}

static struct entry *find_or_claim(
    struct limit_table *table, const struct choices *choices, int64_t now)
{
    struct entry *entry = find(choices);
    if (entry)
        return entry;
    pthread_mutex_t *lock = &table->locks[choices->tag >> 16 & (LIMIT_TABLE_LOCKS - 1)];
    pthread_mutex_lock(lock);
    entry = find(choices);
    if (!entry)
        entry = claim(choices, now);
    pthread_mutex_unlock(lock);
    return entry;
}

struct limit_pace limit_pace_of(const struct limit_rule *rule)
{
    must(rule->count > 0 && rule->per > 0 && rule->burst > 0);
    struct limit_pace pace;
    __int128 interval = (__int128)rule->per * LIMIT_TICKS / rule->count;
    pace.interval = interval < 1 ? 1 : interval > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)interval;
    if (__builtin_mul_overflow(pace.interval, rule->burst, &pace.size) ||
        pace.size > INT64_MAX / 4 * 2)
        pace.size = INT64_MAX / 4 * 2;
    return pace;
}

/* From 1, since 0 is the time of an entry that nobody has used. */
static int64_t ticks_at(const struct limit_table *table, instant now)
{
    return now > table->begin ? (now - table->begin) * LIMIT_TICKS + 1 : 1;
}

struct limit_decision limit_decide(const struct limit_pace *pace, int64_t debt, bool allowed)
{
    int64_t room = pace->size - debt;
    struct limit_decision decision = {.allowed = allowed};
    decision.remaining = room > 0 ? room / pace->interval : 0;
    int64_t missing = (decision.remaining + 1) * pace->interval - room;
    decision.wait = (missing + LIMIT_TICKS - 1) / LIMIT_TICKS;
    return decision;
}

struct limit_decision limit_table_look(
    struct limit_table *table, struct slice key, const struct limit_rule *rule, instant now)
{
    struct choices choices = choices_of(table, key);
    struct limit_pace pace = limit_pace_of(rule);
    int64_t present = ticks_at(table, now);
    const struct entry *entry = find(&choices);
    int64_t full_at = entry ? atomic_load(&entry->full_at) : 0;
    int64_t debt = full_at > present ? full_at - present : 0;
    return limit_decide(&pace, debt, debt <= pace.size - pace.interval);
}

struct limit_decision limit_table_take(
    struct limit_table *table, struct slice key, const struct limit_rule *rule, instant now)
{
    struct choices choices = choices_of(table, key);
    struct limit_pace pace = limit_pace_of(rule);
    int64_t present = ticks_at(table, now);
    for (;;) {
        struct entry *entry = find_or_claim(table, &choices, present);
        int64_t full_at = atomic_load(&entry->full_at);
        int64_t debt = full_at > present ? full_at - present : 0;
        if (debt > pace.size - pace.interval)
            return limit_decide(&pace, debt, false);
        int64_t next = present + debt + pace.interval;
        if (!atomic_compare_exchange_weak(&entry->full_at, &full_at, next))
            continue;
        if (atomic_load(&entry->tag) == choices.tag)
            return limit_decide(&pace, debt + pace.interval, true);
        /* Meanwhile the entry was taken for another key, which has paid: give back and begin anew.
         */
        atomic_fetch_sub(&entry->full_at, pace.interval);
    }
}
