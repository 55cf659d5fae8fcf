/* Counting for a limit: in the store that gateways share, if there is one; by this gateway alone
 * else, or while the store cannot be asked (`if-unavailable`). */
#pragma once

#include "policy/limit.h"

/* Where something was counted, so that it can be given back there. */
enum limit_place {
    LIMIT_NOWHERE,
    LIMIT_HERE,
    LIMIT_HERE_IN_PART, /* of the part that this gateway has without the store */
    LIMIT_IN_STORE
};

struct limit_bill;
struct limit_held;

/* What one request asks of a limit, and what it got. */
struct limit_part {
    const struct limit *limit;
    const struct limit_plan *plan; /* borrowed from the limit */
    struct slice key;
    int64_t cost;
    struct limit_decision decision;
    enum limit_place place;  /* LIMIT_NOWHERE: it has taken nothing */
    struct limit_held *held; /* of what is held; the exchange's; or NULL */
    bool is_decided;
    enum limit_outcome outcome;
    struct limit_bill *bill; /* of a cost that is settled later; or NULL */
};

/* Takes the cost, if that may pass: the decision says so. On a fiber. STORE_UNAVAILABLE where the
 * limit refuses then, CANCELLED. */
enum status limit_take(struct limit_part *part, struct exchange *x);

/* What was taken costs so much more, or less (below 0), also when the fiber is cancelled. Nothing
 * was taken: does nothing. */
void limit_settle(struct limit_part *part, struct exchange *x, int64_t difference);

/* Gives back what was taken, also when the fiber is cancelled. Nothing was: does nothing. */
void limit_give_back(struct limit_part *part, struct exchange *x);

/* What taking would find, where that can be known without asking anybody. */
bool limit_peek(struct limit_part *part);
