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
    _Atomic int64_t settled; /* of a bucket: the instant at which the settled debt is worked off */
    _Atomic int64_t fresh;   /* of a window: counted here, and not settled */
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

/* Of what was counted by this gateway's clock: it belongs to the window that the store has now. */
#define AT_PRESENT ((int64_t)1 << 52)

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

/* What all have counted is counted here, too. */
static enum status settle_time(const struct settlement *settlement)
{
    const struct limit_part *part = &settlement->part;
    struct page *page = settlement->page;
    instant settled = page ? atomic_load(&page->settled) : settlement->settled;
    instant now = loop_now();
    int64_t here = debt_of(part), there;
    int64_t before = settled > now ? settled - now : 0;
    enum status e = limit_shared_charge(
        &part->limit->shared, settlement->worker, part->key, here - before, NEVER, &there);
    int64_t more = e ? 0 : count_more(part, there - here);
    if (!e && page)
        atomic_store(&page->settled, now + here + more);
    return e;
}

static bool is_by_time(const struct limit_part *part)
{
    return part->limit->algorithm->is_instant;
}

/* What of the part was counted. */
static int64_t counted(const struct limit_part *part)
{
    return part->place == LIMIT_NOWHERE ? 0 : part->cost;
}

static enum status settle_count(const struct settlement *settlement)
{
    const struct limit_part *part = &settlement->part;
    const struct limit_rule *rule = &part->plan->rule;
    struct limit_table *table = part->limit->state->table;
    struct page *page = settlement->page;
    int64_t fresh = page ? atomic_exchange(&page->fresh, 0) : counted(part);
    struct limit_decision there;
    enum status e = limit_shared_decide(&part->limit->shared, settlement->worker, part->key, rule,
        fresh, AT_PRESENT, NEVER, &there);
    if (e && page)
        atomic_fetch_add(&page->fresh, fresh);
    if (e)
        return e;
    struct limit_decision here = limit_table_look(table, part->key, rule, 0, loop_now());
    int64_t more = here.remaining - there.remaining + (page ? atomic_load(&page->fresh) : 0);
    if (more > 0)
        limit_table_settle(table, part->key, rule, more, part->decision.at, loop_now());
    return OK;
}

static void settle(void *argument)
{
    struct settlement *settlement = argument;
    const struct limit_part *part = &settlement->part;
    const struct limit *limit = part->limit;
    fiber_shield();
    enum status e = is_by_time(part) ? settle_time(settlement) : settle_count(settlement);
    fiber_unshield();
    atomic_store_explicit(&limit->state->ledger->is_alone, e != OK, memory_order_relaxed);
    if (settlement->page)
        atomic_store(&settlement->page->due, clock_after(loop_now(), limit->settle));
}

/* Makes the page the key's, if its time has come and nobody else is at it. */
static bool turn_to(struct page *page, uint64_t tag, instant now, instant settled)
{
    int64_t due = atomic_load(&page->due);
    if (due > now || !atomic_compare_exchange_strong(&page->due, &due, BUSY))
        return false;
    if (atomic_load(&page->tag) == tag)
        return true;
    atomic_store(&page->fresh, 0);
    atomic_store(&page->tag, tag);
    atomic_store(&page->settled, settled);
    return true;
}

static struct page *page_of(
    const struct limit_ledger *ledger, const struct limit_part *part, uint64_t *ret_tag)
{
    *ret_tag = hash_keyed(part->key, ledger->hash_key) | 1;
    return &ledger->pages[*ret_tag >> 1 & ledger->mask];
}

/* All but what was taken just now counts as settled, where nothing else is known. */
static instant settled_before(const struct limit_part *part, instant now)
{
    if (!is_by_time(part))
        return now;
    int64_t rest = debt_of(part) - nanoseconds(part->plan->rule.interval) * part->cost;
    return now + (rest > 0 ? rest : 0);
}

void limit_ledger_note(const struct limit_part *part, struct exchange *x)
{
    uint64_t tag;
    struct page *page = page_of(part->limit->state->ledger, part, &tag);
    instant now = loop_now();
    bool is_mine = atomic_load(&page->tag) == tag;
    if (is_mine)
        atomic_fetch_add(&page->fresh, counted(part));
    if (is_mine && atomic_load(&page->due) > now)
        return;
    instant settled = settled_before(part, now);
    bool has_page = turn_to(page, tag, now, settled);
    if (!has_page && is_mine)
        return;
    if (has_page && !is_mine)
        atomic_fetch_add(&page->fresh, counted(part));
    struct settlement *settlement = arena_new(&x->arena, struct settlement);
    if (settlement)
        *settlement = (struct settlement){
            .part = *part, .worker = x->worker, .page = has_page ? page : NULL, .settled = settled};
    if ((!settlement || scope_start(&x->scope, settle, settlement)) && has_page)
        atomic_store(&page->due, now);
}

void limit_ledger_correct(const struct limit_part *part, int64_t difference)
{
    uint64_t tag;
    struct page *page = page_of(part->limit->state->ledger, part, &tag);
    if (atomic_load(&page->tag) == tag)
        atomic_fetch_add(&page->fresh, difference);
}
