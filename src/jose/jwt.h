/* What a JSON Web Token claims (RFC 7519 §4), held against what is asked of it. The signature is
 * verified before (jws).
 *
 *     e = jwt_read(arena, jws.payload, &claims);
 *     if (!e)
 *         e = jwt_check(claims, &rules, clock_wall() / SECOND, &until);
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "base/status.h"

struct jwt_words {
    const struct slice *items; /* borrowed */
    size_t count;
};

struct jwt_rules {
    struct jwt_words issuers;   /* one of them is "iss"; none: not asked */
    struct jwt_words audiences; /* one of them is "aud" or among it; none: not asked */
    struct jwt_words required;  /* claims that must be there, and not null */
    int64_t leeway;             /* seconds that clocks may differ by */
    int64_t age_max;            /* seconds since "iat", which must be there then; 0: not asked */
    bool may_lack_expiry;       /* a token without "exp" is accepted */
};

/* The claims as a JSON object in the arena. TOKEN_MALFORMED or NO_MEMORY. */
enum status jwt_read(
    struct arena *arena, struct slice payload, const struct json_value **ret_claims);

/* Is "iss" one of these? Of claims that nobody has verified, too. */
bool jwt_is_from(const struct json_value *claims, const struct jwt_words *issuers);

/* `now` is in seconds since 1970. OK, and the second from which on this would not be the answer any
 * more (INT64_MAX: never); or what is wrong: TOKEN_MALFORMED (a claim of a wrong type),
 * TOKEN_EXPIRED, TOKEN_NOT_YET_VALID, TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_CLAIM. Any thread. */
enum status jwt_check(const struct json_value *claims, const struct jwt_rules *rules, int64_t now,
    int64_t *ret_until);
