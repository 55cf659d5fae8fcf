/* Signed requests: flattened JWS (RFC 7515 §7.2.2) with what ACME wants in the protected header
 * (RFC 8555 §6.2). */
#pragma once

#include "acme/key.h"

struct acme_signing {
    const struct acme_key *key;
    struct slice account; /* its URL ("kid"); empty: the key itself stands in the header */
    struct slice nonce;
    struct slice url; /* that it is posted to */
};

/* Appends the request's body. A `payload` with null data is the empty one of a POST that only asks
 * (§6.3). */
enum status acme_sign(const struct acme_signing *signing, struct slice payload, struct text *text);

/* Appends the binding of an account to one that the authority knows otherwise (§7.3.4): a JWS of
 * the account's key, made with a secret (base64url, as authorities hand them out). INVALID when
 * the secret is not that. */
enum status acme_bind(const struct acme_key *key, struct slice known_as, struct slice secret,
    struct slice url, struct text *text);
