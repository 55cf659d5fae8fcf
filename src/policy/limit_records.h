/* Records of any size by key: a table of fixed size, in shards with a lock each, that never
 * allocates after it was made.
 *
 * Who comes for the first time takes the place of the oldest of those who came once, and who comes
 * again is kept apart from them: so a flood of keys that are never seen again only pushes itself
 * out, and whoever uses the limit stays. Among those, too, the oldest idle goes first; who is among
 * the newest third anyway is not put before the others again, which would cost cold memory. What
 * never expires, as what is in flight, is not forgotten at all: while there is nothing else, nobody
 * who is not there yet may pass.
 *
 * A key is known by its 64-bit SipHash. For limit_table.h, whose functions these are; times are the
 * algorithm's. */
#pragma once

#include "policy/limit_algorithm.h"

struct limit_records;

/* How much memory a table of so many keys with records of so many words takes, in bytes; SIZE_MAX:
 * too much to be counted. */
size_t limit_records_size(size_t keys, size_t words);

enum status limit_records_new(const struct limit_algorithm *algorithm, size_t keys, size_t words,
    struct limit_records **ret_records);
void limit_records_free(struct limit_records *records);

struct limit_decision limit_records_take(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now);
void limit_records_settle(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t difference, int64_t at, int64_t now);
struct limit_decision limit_records_look(struct limit_records *records, struct slice key,
    const struct limit_rule *rule, int64_t cost, int64_t now);

/* How many keys are remembered. */
size_t limit_records_count(struct limit_records *records);
