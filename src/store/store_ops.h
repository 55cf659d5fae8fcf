/* What a kind of store implements, and what those have in common that hold the values themselves.
 * For this floor alone. */
#pragma once

#include "store/store.h"

enum store_verb {
    STORE_GET,
    STORE_SET,
    STORE_ADD,
    STORE_SWAP,
    STORE_COUNT,
    STORE_RUN,
    STORE_PUBLISH
};

/* One question to a store. Checked: sizes are within bounds, `ttl` is at least 1 where there is
 * one.
 */
struct store_question {
    enum store_verb verb;
    unsigned worker;
    struct slice key;   /* PUBLISH: the channel */
    struct slice value; /* null data: SWAP takes away; PUBLISH: the message */
    struct slice expected;
    int64_t ttl, delta;
    const struct store_program *program; /* of RUN */
    const int64_t *arguments;
    instant deadline;
    struct arena *arena; /* of GET and ADD: where `there` goes */

    /* The answer. */
    struct slice there;
    int64_t results[STORE_ARGUMENTS_MAX]; /* COUNT: the sum */
};

struct store_ops {
    /* On a fiber of that worker, or for a store of which nobody waits on any thread. */
    enum status (*ask)(struct store *store, struct store_question *question);
    /* Somebody listens on that channel (again, another one), or nobody does any more: from now on
     * what is said there comes to the store's bus, which is told when it begins to. On the control
     * thread. NO_MEMORY. NULL: only this process' own messages are heard, and it is not asked to
     * PUBLISH. */
    enum status (*listen)(struct store *store, struct slice channel, bool is_wanted);
    void (*join)(struct store *store, unsigned worker); /* or NULL */
    void (*describe)(const struct store *store, struct json_writer *writer);
};

/* --- for stores that hold the values themselves: what the answer to a question is */

enum store_change { STORE_KEEP, STORE_WRITE, STORE_REMOVE };

struct store_verdict {
    enum store_change change;
    struct slice value; /* WRITE: the question's, or in `made` */
    int64_t ttl;        /* WRITE: 0: its time stays as it was */
    bool is_lease;      /* WRITE */
    bool tells;         /* what was there is part of the answer */
    struct text made;   /* owned */
};

/* Says what a question does to a key that holds `there` (null data: nothing; a lease or not) at
 * `now`, nanoseconds since 1970, and fills in its results. OK, NOT_FOUND, CONFLICT, INVALID,
 * NO_MEMORY: with all but OK nothing changes. The verdict is to be released. */
enum status store_judge(struct store_question *question, struct slice there, bool was_lease,
    int64_t now, struct store_verdict *ret_verdict);
void store_verdict_release(struct store_verdict *verdict);

/* A number as store_count keeps it. False when it is none. */
bool store_read_number(struct slice text, int64_t *ret_number);

/* What the clock of such a store says: wall-clock time as it was when the process began, and from
 * there on steady, whoever sets the clock. */
struct store_clock {
    int64_t ahead; /* of the monotonic clock */
};
struct store_clock store_clock_now(void);
static inline int64_t store_clock_read(const struct store_clock *clock)
{
    return clock_now() + clock->ahead;
}
