/* Limits that all gateways count together: a token bucket in the store (store/store.h), decided on
 * where it lies, in one round trip. The arithmetic is limit_table.h's; the clock is the store's, so
 * that gateways need not agree about the time. A bucket that is full again is nothing, and is not
 * kept. */
#pragma once

#include "policy/limit_table.h"
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
    struct store_program program;
    struct slice name; /* "limits.login", or a digest of a long one: what its keys begin with */
    char digest[TLS_DIGEST_SIZE];
};

/* NO_MEMORY. */
enum status limit_shared_init(struct limit_shared *shared, struct store *store, struct slice name);

/* Takes one token, if there is one. On a fiber. Statuses of store.h. */
enum status limit_shared_take(const struct limit_shared *shared, unsigned worker, struct slice key,
    const struct limit_rule *rule, instant deadline, struct limit_decision *ret_decision);

/* The part of a rule that one of so many gateways has, each by itself. */
struct limit_rule limit_share_of(const struct limit_rule *rule, int64_t gateways);
