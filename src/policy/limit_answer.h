/* What a limit says to the client: RateLimit and RateLimit-Policy
 * (draft-ietf-httpapi-ratelimit-headers), Retry-After, and the 429 with its problem document.
 *
 * A bucket is shown as a quota `q` in a window of `w` seconds, `r` requests left and `t` seconds
 * until there is one more. Of a bucket larger than its rate's count the quota is the whole bucket,
 * and the window how long it takes to fill, so that `r` never exceeds `q`. */
#pragma once

#include "http/exchange.h"
#include "policy/limit_table.h"

/* Adds this limit's members to both fields, behind those that others (an upstream too) have put
 * there. */
void limit_add_fields(struct exchange *x, struct slice name, const struct limit_rule *rule,
    const struct limit_decision *decision);

/* Answers 429. Always OK. */
enum status limit_refuse(struct exchange *x, struct slice name, const struct limit_rule *rule,
    const struct limit_decision *decision, bool has_fields);
