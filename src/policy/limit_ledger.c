#include "policy/limit_ledger.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/random.h"
#include "run/loop.h"

#define BUSY     INT64_MAX /* as a time that is due: it is being settled */
#define KEYS_MIN 64

struct page {
    _Alignas(32) _Atomic uint64_t tag; /* of the key; 0: nobody's */
    _Atomic int64_t due;               /* the instant from which on it is to be settled */
    _Atomic int64_t settled; /* the instant at which the debt that was settled is worked off */
};

struct limit_ledger {
    struct page *pages; /* owned */
    uint64_t mask;
    struct hash_key hash_key;
    _Atomic bool is_alone;
};

/* One settlement, in the exchange's arena. */
struct settlement {
    struct limit_part part;
    unsigned worker;
    struct page *page; /* NULL: another key has it */
    instant settled;   /* without a page */
};

enum status limit_ledger_new(size_t keys, struct limit_ledger **ret_ledger)
{
    size_t count = KEYS_MIN;
    while (count < keys && count < SIZE_MAX / 4 / sizeof(struct page))
        count *= 2;
    struct limit_ledger *ledger = calloc(1, sizeof *ledger);
    struct page *pages = aligned_alloc(_Alignof(struct page), count * sizeof *pages);
    if (!ledger || !pages) {
        free(ledger);
        free(pages);
        return NO_MEMORY;
    }
    memset(pages, 0, count * sizeof *pages);
    ledger->pages = pages;
    ledger->mask = count - 1;
    random_bytes(&ledger->hash_key, sizeof ledger->hash_key);
    *ret_ledger = ledger;
    return OK;
}

void limit_ledger_free(struct limit_ledger *ledger)
{
    if (!ledger)
        return;
    free(ledger->pages);
    free(ledger);
}

bool limit_ledger_is_alone(const struct limit_ledger *ledger)
{
    return atomic_load_explicit(&ledger->is_alone, memory_order_relaxed);
}

static int64_t nanoseconds(int64_t ticks)
{
    return ticks / LIMIT_TICKS;
}

/* What is missing from the bucket here, in nanoseconds. */
static int64_t debt_of(const struct limit_part *part)
{
    const struct limit_rule *rule = &part->plan->rule;
    struct limit_decision look =
        limit_table_look(part->limit->state->table, part->key, rule, 1, loop_now());
    int64_t interval = nanoseconds(rule->interval), size = nanoseconds(rule->size);
    if (!look.allowed)
        return size - interval + look.wait;
    int64_t debt = size - (look.remaining + 1) * interval + look.wait;
    return debt > 0 ? debt : 0;
}

/* So many units of what others have taken, at least half of one. */
static int64_t count_more(const struct limit_part *part, int64_t more)
{
    int64_t interval = nanoseconds(part->plan->rule.interval);
    interval += interval == 0;
    int64_t units = more > 0 ? (more + interval / 2) / interval : 0;
    if (units)
        limit_table_settle(part->limit->state->table, part->key, &part->plan->rule, units,
            part->decision.at, loop_now());
    return units * interval;
}

static void settle(void *argument)
{
    struct settlement *settlement = argument;
    const struct limit_part *part = &settlement->part;
    const struct limit *limit = part->limit;
    struct page *page = settlement->page;
    instant settled = page ? atomic_load(&page->settled) : settlement->settled;
    instant now = loop_now();
    int64_t here = debt_of(part), there;
    int64_t before = settled > now ? settled - now : 0;
    fiber_shield();
    enum status e = limit_shared_charge(
        &limit->shared, settlement->worker, part->key, here - before, NEVER, &there);
    fiber_unshield();
    atomic_store_explicit(&limit->state->ledger->is_alone, e != OK, memory_order_relaxed);
    int64_t more = e ? 0 : count_more(part, there - here);
    if (!page)
        return;
    if (!e)
        atomic_store(&page->settled, now + here + more);
    atomic_store(&page->due, clock_after(loop_now(), limit->settle));
}

/* Makes the page the key's, if its time has come and nobody else is at it. */
static bool turn_to(struct page *page, uint64_t tag, instant now, instant settled)
{
    int64_t due = atomic_load(&page->due);
    if (due > now || !atomic_compare_exchange_strong(&page->due, &due, BUSY))
        return false;
    if (atomic_load(&page->tag) == tag)
        return true;
    atomic_store(&page->tag, tag);
    atomic_store(&page->settled, settled);
    return true;
}

void limit_ledger_note(const struct limit_part *part, struct exchange *x)
{
    struct limit_ledger *ledger = part->limit->state->ledger;
    uint64_t tag = hash_keyed(part->key, ledger->hash_key) | 1;
    struct page *page = &ledger->pages[tag >> 1 & ledger->mask];
    instant now = loop_now();
    bool is_mine = atomic_load(&page->tag) == tag;
    if (is_mine && atomic_load(&page->due) > now)
        return;
    /* All but what was taken just now counts as settled, where nothing else is known. */
    int64_t rest = debt_of(part) - nanoseconds(part->plan->rule.interval) * part->cost;
    instant settled = now + (rest > 0 ? rest : 0);
    bool has_page = turn_to(page, tag, now, settled);
    if (!has_page && is_mine)
        return;
    struct settlement *settlement = arena_new(&x->arena, struct settlement);
    if (settlement)
        *settlement = (struct settlement){
            .part = *part, .worker = x->worker, .page = has_page ? page : NULL, .settled = settled};
    if ((!settlement || scope_start(&x->scope, settle, settlement)) && has_page)
        atomic_store(&page->due, now);
}
