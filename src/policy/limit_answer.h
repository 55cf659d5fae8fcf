/* What a limit says to the client: RateLimit and RateLimit-Policy
 * (draft-ietf-httpapi-ratelimit-headers), Retry-After, and the 429 with its problem document.
 *
 * A rule is shown as a quota `q` in a window of `w` seconds (its algorithm says which), `r`
 * requests left and `t` seconds until there is one more. */
#pragma once

#include "http/exchange.h"
#include "policy/limit_algorithm.h"

/* Members of both fields that are the same for all requests; parts of one text. */
struct limit_words {
    struct slice name;   /* as a string of Structured Fields: of RateLimit what comes first */
    struct slice policy; /* of RateLimit-Policy all */
};

/* Once for a rule, in the snapshot's arena. NO_MEMORY. */
enum status limit_words_make(struct arena *arena, struct slice name,
    const struct limit_quota *quota, struct limit_words *ret_words);

/* Adds this limit's members to both fields, behind those that others (an upstream too) have put
 * there. */
void limit_add_fields(
    struct exchange *x, const struct limit_words *words, const struct limit_decision *decision);

/* Answers 429. Always OK. */
enum status limit_refuse(struct exchange *x, struct slice name, const struct limit_quota *quota,
    const struct limit_decision *decision);
