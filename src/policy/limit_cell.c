#include "policy/limit_cell.h"

#include <string.h>

/* What is kept: an instant that the record's times count from, and the record. Zeros at the end are
 * left out. */
struct kept {
    int64_t *words; /* in the cell's `next` */
    size_t count;
};

static bool unpack(struct store_cell *cell, size_t words, struct kept *ret_kept)
{
    struct text *next = cell->next;
    size_t size = (words + 1) * sizeof(int64_t);
    if (!text_reserve(next, size))
        return false;
    memset(next->data, 0, size);
    if (cell->value.size <= size && cell->value.size % sizeof(int64_t) == 0)
        memcpy(next->data, cell->value.data ? cell->value.data : "", cell->value.size);
    *ret_kept = (struct kept){.words = (void *)next->data, .count = words + 1};
    return true;
}

static void pack(struct store_cell *cell, const struct kept *kept)
{
    size_t count = kept->count;
    while (count && kept->words[count - 1] == 0)
        count--;
    cell->next->size = count * sizeof(int64_t);
}

/* Tries or settles. */
static void decide(const struct limit_algorithm *algorithm, const struct limit_rule *rule,
    const int64_t *arguments, const struct kept *kept, int64_t now,
    struct limit_decision *ret_decision)
{
    int64_t base = kept->words[0], *record = &kept->words[1];
    if (arguments[LIMIT_AT] == 0) {
        algorithm->take(rule, record, arguments[LIMIT_COST], now - base, ret_decision);
    } else {
        algorithm->settle(
            rule, record, arguments[LIMIT_COST], arguments[LIMIT_AT] - base, now - base);
        algorithm->take(rule, record, 0, now - base, ret_decision);
        ret_decision->allowed = true;
    }
    ret_decision->at += base;
}

void limit_cell_run(const struct store_script *script, struct store_cell *cell,
    const int64_t *arguments, int64_t *ret_results)
{
    const struct limit_algorithm *algorithm =
        (const void *)((const char *)script - offsetof(struct limit_algorithm, script));
    struct limit_rule rule =
        limit_rule_of(arguments[LIMIT_COUNT], arguments[LIMIT_PER], arguments[LIMIT_BURST]);
    struct kept kept;
    if (!unpack(cell, algorithm->words(&rule), &kept))
        return; /* which the store notices */
    if (algorithm->is_by_calendar) {
        kept.words[0] = 0;
    } else if (kept.words[0] <= 0 || kept.words[0] >= cell->now) {
        memset(kept.words, 0, kept.count * sizeof *kept.words);
        kept.words[0] = cell->now - 1;
    }
    struct limit_decision decision;
    decide(algorithm, &rule, arguments, &kept, cell->now, &decision);
    ret_results[LIMIT_ALLOWED] = decision.allowed;
    ret_results[LIMIT_REMAINING] = decision.remaining;
    ret_results[LIMIT_WAIT] = decision.wait;
    ret_results[LIMIT_DELAY] = decision.delay;
    ret_results[LIMIT_WHEN] = decision.at;
    if (!decision.allowed)
        return;
    int64_t left = algorithm->expires(&rule, &kept.words[1]) + kept.words[0] - cell->now;
    cell->ttl = left > 0 ? left : -1;
    pack(cell, &kept);
}
