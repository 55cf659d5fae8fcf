/* What ways of auth that ask somebody else have in common: when he cannot be asked. */
#pragma once

#include "policy/inquiry.h"

struct auth_asking {
    struct metrics_shard *const *shards;
    uint32_t refused, passed; /* series */
};

void auth_asking_prepare(struct prepare *prepare, struct auth_asking *asking);

/* Nobody could tell who the client is, for the reason `e`. OK when it may pass nevertheless, or
 * what becomes of it: AUTH_UNAVAILABLE, unless it is the client's own time that is over. */
enum status auth_asking_fail(const struct auth_asking *asking, struct exchange *x,
    const struct inquiry_target *target, enum status e, bool passes);
