/* Who signs requests: a JWK Set (RFC 7517) in which each key has a "kid", and may have "claims" of
 * whom it belongs to. A key is for one algorithm of RFC 9421, which its kind says, or its "alg":
 *
 *     {"keys": [{"kid": "acme-1", "kty": "OKP", "crv": "Ed25519", "x": "…",
 *                "claims": {"sub": "acme", "plan": "pro"}}]} */
#pragma once

#include "jose/keys.h"
#include "base/json.h"

struct signature_key {
    struct slice id;
    enum jose_algorithm algorithm;
    const struct json_value *claims; /* an object with at least "sub" */
};

struct signature_keys {
    struct jose_keys *set; /* owned */
    struct signature_key *items;
    size_t count;
};

/* Reads the text of a set; what is read lies in the arena, but for the set. INVALID, and why;
 * NO_MEMORY. */
enum status signature_keys_read(
    struct arena *arena, struct slice text, struct signature_keys *ret_keys, const char **ret_why);
void signature_keys_release(struct signature_keys *keys);

/* NULL when there is none. Without an id it is the only key there is. */
const struct signature_key *signature_keys_find(const struct signature_keys *keys, struct slice id);

/* "ecdsa-p256-sha256" and so on (RFC 9421 §6.2.2); empty: there is no such algorithm there. */
struct slice signature_algorithm_name(enum jose_algorithm algorithm);
