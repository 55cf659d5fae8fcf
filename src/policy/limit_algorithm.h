/* Algorithms of limits: how it is decided whether one more may pass. One file an algorithm, listed
 * in limit_algorithms.def; an option of a limit names it by its word.
 *
 * An algorithm is a few functions of a *record*, which is what is remembered of one key: some
 * 64-bit words, all 0 for a key that has not been seen. They neither wait nor lock, and know no
 * other key. Who keeps records (limit_table.h for this gateway alone, a store for several) sees to
 * it that nobody else's change comes between.
 *
 *     take      may so much pass now? Counts it if so; what is refused leaves the record as it was
 *     settle    what was taken was more, or less, or is given back
 *     expires   from when on the record says nothing
 *     quota     how it is told to clients
 *
 * What is taken has a *cost*: 1 for a request as such, any number from 0 on where costs are
 * weighed. Exactly so much passes that the sum of costs stays within the rule; 0 passes while the
 * rule is not broken, so that a cost known only after the answer can be settled then. Settling may
 * break the rule: then nothing passes until time has mended it.
 *
 * What an algorithm that *holds* (`is_held`) has let pass is given back when it is over: the rest
 * is limit_held.h's.
 *
 * A seventh algorithm is a file with its struct limit_algorithm and a line in the table. */
#pragma once

#include "base/clock.h"
#include "base/slice.h"
#include "base/status.h"
#include "config/option.h"
#include "store/store.h"

/* What may pass. Made by limit_rule_of. */
struct limit_rule {
    int64_t count; /* so many, at least 1 ... */
    int64_t per; /* ... in so many nanoseconds, at least 1; RATE_MONTH for some is the calendar's */
    int64_t burst; /* a bucket's size: how many may come at once, at least 1 */

    /* The same in ticks, of buckets. */
    int64_t interval; /* one comes in so many */
    int64_t size;     /* of a whole bucket */
};

/* A sixteenth of a nanosecond: so even a million a second comes out true. */
#define LIMIT_TICKS ((int64_t)16)

/* What became of a try. */
struct limit_decision {
    bool allowed;
    int64_t remaining; /* how many more may come at once now */
    int64_t wait;      /* nanoseconds until there is one more than `remaining`; of what was refused:
                        * until it may pass. At least 1, or 0: nobody can know */
    int64_t delay;     /* nanoseconds that what was allowed has to be held before it goes on */
    int64_t at; /* when it was counted, by the clock of whoever counts; limit_..._settle wants
                 * it back */
};

/* What clients are told of a rule (RateLimit-Policy). */
struct limit_quota {
    int64_t count;    /* `q` */
    int64_t window;   /* `w`, nanoseconds; 0: there is none */
    const char *unit; /* `qu`; NULL: requests */
};

struct limit_algorithm {
    const char *word; /* of the option: "token-bucket" */

    /* Its record is one word: the instant in ticks from which on it says nothing. Then many workers
     * count without a lock. */
    bool is_instant;

    /* `burst` means something: a rate that is cut up has a part of the rate and of the burst. */
    bool has_burst;

    /* What it lets pass may have to be held first. */
    bool delays;

    /* What it lets pass counts until it is over. Its script is told who takes, and the rule's `per`
     * is for how long that counts when no more is heard of him. */
    bool is_held;

    /* Gateways may count by themselves, and settle with the store now and then (limit_ledger.h). */
    bool can_settle;

    /* Its times are nanoseconds since 1970, and a month is one of the calendar. */
    bool is_by_calendar;

    /* How many words a record has under that rule, at least 1. */
    size_t (*words)(const struct limit_rule *rule);

    /* `now` is in nanoseconds, at least 1, and seldom goes back. `cost` is at least 0. */
    void (*take)(const struct limit_rule *rule, int64_t *record, int64_t cost, int64_t now,
        struct limit_decision *ret_decision);

    /* What was counted at `at` costs so much more (or, below 0, less) than was taken. */
    void (*settle)(const struct limit_rule *rule, int64_t *record, int64_t difference, int64_t at,
        int64_t now);

    /* By the same clock; INT64_MAX: never. */
    int64_t (*expires)(const struct limit_rule *rule, const int64_t *record);

    struct limit_quota (*quota)(const struct limit_rule *rule);

    /* The same for stores. Takes LIMIT_ARGUMENTS numbers and gives LIMIT_RESULTS. Its form in C is
     * limit_cell_run. */
    struct store_script script;
};

/* The quota of an algorithm that lets the rate's count through in each of its windows. */
static inline struct limit_quota limit_window_quota(const struct limit_rule *rule)
{
    return (struct limit_quota){.count = rule->count, .window = rule->per};
}

/* What scripts of limits take, in the order of ARGV, and give. */
enum limit_argument {
    LIMIT_COST, /* what to take; with LIMIT_AT what to settle */
    LIMIT_AT,   /* 0: take; else settle what was counted then, by the store's clock. Of what is held
                 * always who holds it: takes LIMIT_COST, or, if he has that already, has it for
                 * LIMIT_PER from now on; below 0: gives it back */
    LIMIT_COUNT,
    LIMIT_PER, /* nanoseconds */
    LIMIT_BURST,
    LIMIT_ARGUMENTS
};
enum limit_result {
    LIMIT_ALLOWED, /* 1 or 0; of what was settled 1 */
    LIMIT_REMAINING,
    LIMIT_WAIT,
    LIMIT_DELAY,
    LIMIT_WHEN,
    LIMIT_RESULTS
};

/* The first lines of every script: `now` is in microseconds since 2026, so that a double, which is
 * what a number is there, holds fractions of them. */
#define LIMIT_LUA                                                                 \
    "local t = redis.call('TIME')\n"                                              \
    "local now = (t[1] - 1767225600) * 1000000 + t[2]\n"                          \
    "local cost, at, count, per, burst = tonumber(ARGV[1]), tonumber(ARGV[2]),\n" \
    "  tonumber(ARGV[3]), ARGV[4] / 1000, tonumber(ARGV[5])\n"

/* All of limit_algorithms.def, ends with NULL; the first is what a limit has that names none. And
 * their words in the same order. */
extern const struct limit_algorithm *const limit_algorithms[];
extern const char *const limit_algorithm_words[];

#define LIMIT_ALGORITHM(name, word) extern const struct limit_algorithm limit_##name;
#include "policy/limit_algorithms.def"
#undef LIMIT_ALGORITHM

/* All three at least 1. */
struct limit_rule limit_rule_of(int64_t count, int64_t per, int64_t burst);

/* The part of a rule that one of so many gateways has, each by itself. */
struct limit_rule limit_share_of(
    const struct limit_algorithm *algorithm, const struct limit_rule *rule, int64_t gateways);

/* What `take` would say, but for what remains, which is as it is before. */
void limit_look(const struct limit_algorithm *algorithm, const struct limit_rule *rule,
    int64_t *copy, int64_t cost, int64_t now, struct limit_decision *ret_decision);

/* What is said of one that passes although nobody has counted it. */
struct limit_decision limit_unasked(
    const struct limit_algorithm *algorithm, const struct limit_rule *rule, int64_t cost);
