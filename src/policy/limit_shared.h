/* Limits that all gateways count together: an algorithm (limit_algorithm.h) whose records are in a
 * store, decided on where they lie, in one round trip. The clock is the store's, so that gateways
 * need not agree about the time. A record that says nothing is not kept. */
#pragma once

#include "policy/limit_algorithm.h"
#include "run/tls.h"
#include "store/store.h"

/* While the store cannot be asked. */
enum limit_if_unavailable {
    LIMIT_LOCAL, /* each gateway counts by itself, its part of the rate */
    LIMIT_PASS,
    LIMIT_REFUSE
};

struct limit_shared {
    struct store *store; /* borrowed; NULL: counted by this gateway alone */
    struct store_program program, charge;
    struct slice name; /* "limits.login", or a digest of a long one: what its keys begin with */
    char digest[TLS_DIGEST_SIZE];
};

/* NO_MEMORY. */
enum status limit_shared_init(struct limit_shared *shared, const struct limit_algorithm *algorithm,
    struct store *store, struct slice name);

/* Takes so much, if that may pass, where `at` is 0. Else what was taken, at the decision's `at`,
 * costs so much more, or less (below 0: all of it given back is -cost), and what remains then is in
 * the new decision. Of what is held `at` is who holds it (LIMIT_AT). On a fiber. Statuses of
 * store.h. */
enum status limit_shared_decide(const struct limit_shared *shared, unsigned worker,
    struct slice key, const struct limit_rule *rule, int64_t cost, int64_t at, instant deadline,
    struct limit_decision *ret_decision);

/* Adds so many nanoseconds (below 0: takes away) to the debt of a token bucket, and tells what it
 * is then. The same. */
enum status limit_shared_charge(const struct limit_shared *shared, unsigned worker,
    struct slice key, int64_t nanoseconds, instant deadline, int64_t *ret_debt);
