/* What this gateway counts by itself: the records of an algorithm (limit_algorithm.h) by key,
 * shared by all workers, in a table of fixed size that never allocates after it was made.
 *
 *     limit_instants.h    records of one word, without locks
 *     limit_records.h     all others
 *
 * Any thread may call what takes, settles and looks. `now` is an instant; algorithms that go by the
 * calendar are told the wall-clock time of it. */
#pragma once

#include "policy/limit_algorithm.h"

struct limit_table;

/* For at least `keys` keys at a time, with records of `words`. NO_MEMORY. */
enum status limit_table_new(const struct limit_algorithm *algorithm, size_t keys, size_t words,
    struct limit_table **ret_table);
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
