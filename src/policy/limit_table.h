/* Token buckets by key, shared by all workers: a table of fixed size that never allocates after it
 * was made.
 *
 * A bucket is one 64-bit word, the *theoretical arrival time* of GCRA (the generic cell rate
 * algorithm): the instant at which the bucket will be full again. A request that passes moves it on
 * by one emission interval; one that would move it further ahead of now than the burst allows is
 * refused and moves nothing. Both are one compare-and-swap.
 *
 * A key is known by its 64-bit SipHash. It lives in one of two cache lines of four entries each. An
 * entry whose time has passed is a full bucket, which is what a new key has as well: so it is free
 * to be taken. When all eight are in use, the one that will be full soonest makes room (it forgets
 * least). A look-up takes no lock; bringing in a new key takes one of LIMIT_TABLE_LOCKS, held for
 * some tens of nanoseconds, so that a key is never there twice.
 *
 * Any thread may call limit_table_take. */
#pragma once

#include "base/clock.h"
#include "base/slice.h"
#include "base/status.h"

struct limit_table;

#define LIMIT_TABLE_LOCKS 64

/* What a bucket may do. */
struct limit_rule {
    int64_t count; /* so many requests, at least 1 ... */
    int64_t per;   /* ... in so many nanoseconds, at least 1 */
    int64_t burst; /* the bucket's size: how many may come at once, at least 1 */
};

struct limit_decision {
    bool allowed;
    int64_t remaining; /* how many more may come at once now */
    int64_t wait;      /* nanoseconds until there is one more than `remaining`; at least 1 */
};

/* A rule in the time that is reckoned with, sixteenths of a nanosecond: so even a million a second
 * comes out true. */
#define LIMIT_TICKS ((int64_t)16)

struct limit_pace {
    int64_t interval; /* one token comes in so many */
    int64_t size;     /* of a whole bucket */
};
struct limit_pace limit_pace_of(const struct limit_rule *rule);

/* What is said of a bucket that so much is missing from. */
struct limit_decision limit_decide(const struct limit_pace *pace, int64_t debt, bool allowed);

/* For at least `keys` keys at a time. NO_MEMORY. */
enum status limit_table_new(size_t keys, struct limit_table **ret_table);
void limit_table_free(struct limit_table *table);

/* Takes one token from the key's bucket at the instant `now`, if there is one. */
struct limit_decision limit_table_take(
    struct limit_table *table, struct slice key, const struct limit_rule *rule, instant now);

/* What limit_table_take would find, without taking. */
struct limit_decision limit_table_look(
    struct limit_table *table, struct slice key, const struct limit_rule *rule, instant now);
