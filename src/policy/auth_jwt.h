/* JSON Web Tokens as a way to say who one is (RFC 7519, RFC 8725): what is asked of them, by which
 * keys they are verified. Part of auth. */
#pragma once

#include "jose/jwt.h"
#include "jose/keys.h"
#include "policy/policy.h"
#include "policy/token_memory.h"

struct auth_jwt {
    /* Options. */
    struct option_list issuers, algorithms, required; /* of struct slice */
    struct slice keys, secret;
    struct place keys_place, secret_place;
    int64_t leeway, age_max; /* nanoseconds */
    bool is_set, may_lack_expiry;

    /* Made by auth_jwt_prepare. */
    unsigned accepted;             /* a bit for each algorithm */
    struct jose_keys *verifiers;   /* counted */
    struct token_memory *memories; /* one a worker */
    struct jwt_rules rules;
};

extern const struct option_table auth_jwt_table;

/* INVALID after a complaint, NO_MEMORY. */
enum status auth_jwt_prepare(
    struct prepare *prepare, struct auth_jwt *jwt, const struct option_list *audiences);

/* Who the token says it is: x->claims, as long as the exchange. TOKEN_…: not good; NO_MEMORY.
 * `ret_was_known`: it was remembered. */
enum status auth_jwt_identify(
    const struct auth_jwt *jwt, struct exchange *x, struct slice text, bool *ret_was_known);
