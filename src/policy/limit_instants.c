#include "policy/limit_instants.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"

#define LINE_ENTRIES 4
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

struct limit_instants {
    const struct limit_algorithm *algorithm;
    struct line *lines; /* owned */
    uint64_t mask;      /* lines are a power of two */
    struct hash_key hash_key;
    pthread_mutex_t locks[LIMIT_INSTANTS_LOCKS];
};

/* Where a key may be. */
struct choices {
    uint64_t tag;
    struct line *lines[2];
};

enum status limit_instants_new(
    const struct limit_algorithm *algorithm, size_t keys, struct limit_instants **ret_instants)
{
    if (keys < KEYS_MIN)
        keys = KEYS_MIN;
    size_t lines = 1;
    while (lines * LINE_ENTRIES < keys && lines < SIZE_MAX / 2 / sizeof(struct line))
        lines *= 2;
    struct limit_instants *instants = calloc(1, sizeof *instants);
    if (!instants)
        return NO_MEMORY;
    instants->lines = aligned_alloc(_Alignof(struct line), lines * sizeof(struct line));
    if (!instants->lines) {
        free(instants);
        return NO_MEMORY;
    }
    memset(instants->lines, 0, lines * sizeof(struct line));
    instants->algorithm = algorithm;
    instants->mask = lines - 1;
    random_bytes(&instants->hash_key, sizeof instants->hash_key);
    for (int i = 0; i < LIMIT_INSTANTS_LOCKS; i++)
        pthread_mutex_init(&instants->locks[i], NULL);
    *ret_instants = instants;
    return OK;
}

void limit_instants_free(struct limit_instants *instants)
{
    if (!instants)
        return;
    for (int i = 0; i < LIMIT_INSTANTS_LOCKS; i++)
        pthread_mutex_destroy(&instants->locks[i]);
    free(instants->lines);
    free(instants);
}

static struct choices choices_of(struct limit_instants *instants, struct slice key)
{
    uint64_t hash = hash_keyed(key, instants->hash_key);
    struct choices choices = {.tag = hash < TAG_MIN ? hash + TAG_MIN : hash};
    uint64_t first = hash & instants->mask;
    uint64_t second = hash >> 32 & instants->mask;
    if (second == first)
        second = (first + 1) & instants->mask;
    choices.lines[0] = &instants->lines[first];
    choices.lines[1] = &instants->lines[second];
    return choices;
}

static struct entry *find(const struct choices *choices)
{
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < LINE_ENTRIES; i++)
            if (atomic_load(&choices->lines[l]->entries[i].tag) == choices->tag)
                return &choices->lines[l]->entries[i];
    return NULL;
}

/* The entry of a line that will be full soonest, NULL if all are being cleared; and how many are
 * full at `now`. */
static struct entry *soonest_of_line(struct line *line, int64_t now, int *ret_full)
{
    struct entry *soonest = NULL;
    int64_t soonest_at = INT64_MAX;
    *ret_full = 0;
    for (int i = 0; i < LINE_ENTRIES; i++) {
        struct entry *entry = &line->entries[i];
        int64_t full_at = atomic_load(&entry->full_at);
        if (atomic_load(&entry->tag) == TAG_BUSY)
            continue;
        *ret_full += full_at <= now;
        if (full_at < soonest_at) {
            soonest = entry;
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
    struct entry *a = soonest_of_line(choices->lines[0], now, &full[0]);
    struct entry *b = soonest_of_line(choices->lines[1], now, &full[1]);
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
    struct limit_instants *instants, const struct choices *choices, int64_t now)
{
    struct entry *entry = find(choices);
    if (entry)
        return entry;
    pthread_mutex_t *lock = &instants->locks[choices->tag >> 16 & (LIMIT_INSTANTS_LOCKS - 1)];
    pthread_mutex_lock(lock);
    entry = find(choices);
    if (!entry)
        entry = claim(choices, now);
    pthread_mutex_unlock(lock);
    return entry;
}

struct limit_decision limit_instants_look(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now)
{
    struct choices choices = choices_of(instants, key);
    const struct entry *entry = find(&choices);
    int64_t copy[1] = {entry ? atomic_load(&entry->full_at) : 0};
    struct limit_decision decision;
    limit_look(instants->algorithm, rule, copy, cost, now, &decision);
    return decision;
}

/* Puts a new word into the entry where `old` was. False when others were faster, or the entry was
 * meanwhile taken for another key, which has paid: it gets that back. */
static bool change(
    const struct choices *choices, struct entry *entry, int64_t old, int64_t word, int64_t present)
{
    int64_t before = old;
    if (!atomic_compare_exchange_weak(&entry->full_at, &before, word))
        return false;
    if (atomic_load(&entry->tag) == choices->tag)
        return true;
    atomic_fetch_sub(&entry->full_at, word - (old > present ? old : present));
    return false;
}

struct limit_decision limit_instants_take(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now)
{
    struct choices choices = choices_of(instants, key);
    int64_t present = now * LIMIT_TICKS;
    for (;;) {
        struct entry *entry = find_or_claim(instants, &choices, present);
        int64_t old = atomic_load(&entry->full_at), word = old;
        struct limit_decision decision;
        instants->algorithm->take(rule, &word, cost, now, &decision);
        if (!decision.allowed || change(&choices, entry, old, word, present))
            return decision;
    }
}

void limit_instants_settle(struct limit_instants *instants, struct slice key,
    const struct limit_rule *rule, int64_t difference, int64_t at, int64_t now)
{
    struct choices choices = choices_of(instants, key);
    int64_t present = now * LIMIT_TICKS;
    for (;;) {
        struct entry *entry =
            difference < 0 ? find(&choices) : find_or_claim(instants, &choices, present);
        if (!entry)
            return; /* forgotten: there is nothing to give back to */
        int64_t old = atomic_load(&entry->full_at), word = old;
        instants->algorithm->settle(rule, &word, difference, at, now);
        if (change(&choices, entry, old, word, present))
            return;
    }
}
