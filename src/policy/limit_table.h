/* What this gateway counts by itself: the records of an algorithm (limit_algorithm.h) by key,
 * shared by all workers: a table of fixed size that never allocates after it was made.
 *
 * A record here is one 64-bit word, the instant from which on it says nothing; every change is one
 * compare-and-swap.
 *
 * A key is known by its 64-bit SipHash. It lives in one of two cache lines of four entries each. An
 * entry whose time has passed says nothing, like that of a new key: so it is free to be taken. When
 * all eight are in use, the one whose time passes soonest makes room (it forgets least). A look-up
 * takes no lock; bringing in a new key takes one of LIMIT_TABLE_LOCKS, held for some tens of
 * nanoseconds, so that a key is never there twice.
 *
 * Any thread may call what takes and settles. */
#pragma once

#include "policy/limit_algorithm.h"

struct limit_table;

#define LIMIT_TABLE_LOCKS 64

/* For at least `keys` keys at a time. NO_MEMORY. */
enum status limit_table_new(
    const struct limit_algorithm *algorithm, size_t keys, struct limit_table **ret_table);
void limit_table_free(struct limit_table *table);

/* Takes so much for the key at the instant `now`, if that may pass. */
struct limit_decision limit_table_take(struct limit_table *table, struct slice key,
    const struct limit_rule *rule, int64_t cost, instant now);

/* What was taken costs so much more, or less (below 0: all of it given back is -cost). `at` is the
 * decision's. What is forgotten meanwhile stays so. */
void limit_table_settle(struct limit_table *table, struct slice key, const struct limit_rule *rule,
    int64_t difference, int64_t at, instant now);

/* What limit_table_take would find, without taking: what remains is not less by it. */
struct limit_decision limit_table_look(struct limit_table *table, struct slice key,
    const struct limit_rule *rule, int64_t cost, instant now);
