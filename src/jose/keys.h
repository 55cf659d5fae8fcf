/* Keys that signatures are verified with, as a set: JSON Web Keys (RFC 7517, RFC 7518 §6,
 * RFC 8037 §2), public keys and certificates in PEM, and secrets.
 *
 * Each key says by itself which algorithms it may be used with: the one of its "alg", or all of
 * its kind. A token can only choose among those (RFC 8725 §3.1).
 *
 *     e = jose_keys_new(&keys);
 *     e = jose_keys_add_json(keys, text, JOSE_PUBLIC_ONLY, &why);
 *     ... jws_verify(&jws, keys) ...
 *     jose_keys_unref(keys);
 *
 * A set is filled by one thread, and after that only read, by any number of threads; it dies with
 * its last user. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "jose/algorithm.h"

typedef struct evp_pkey_st EVP_PKEY;

#define JOSE_SET_SIZE_MAX ((size_t)1 << 20) /* bytes of the text of a set */
#define JOSE_KEYS_MAX     1000              /* in a set */
#define JOSE_KEY_ID_MAX   512               /* bytes of a "kid" */
#define JOSE_RSA_BITS_MIN 2048              /* RFC 7518 §3.3 */
#define JOSE_RSA_BITS_MAX 8192              /* more would only take time to verify with */

enum jose_key_options {
    JOSE_PUBLIC_ONLY = 1, /* no secrets: the text comes from where anybody can read it */
};

struct jose_key {
    const struct jose_key *next; /* in the set's order; NULL behind the last */
    struct slice id;             /* "kid"; empty: it has none */
    unsigned algorithms; /* the bit 1 << enum jose_algorithm for each that it may be used with */
    EVP_PKEY *pair;      /* owned; NULL: it is a secret */
    struct slice secret; /* owned; HMAC's */
    struct jose_verifiers *verifiers; /* owned; of the pair */
};

struct jose_keys;

/* An empty set, with one user. NO_MEMORY. */
enum status jose_keys_new(struct jose_keys **ret_keys);
struct jose_keys *jose_keys_ref(struct jose_keys *keys);
void jose_keys_unref(struct jose_keys *keys); /* NULL is fine */

/* Adds what is in a JWK Set ({"keys": [...]}) or in one JWK. In a set, keys that are for something
 * else, of an unknown kind, or too weak are passed over (RFC 7517 §5); a JWK alone must be good.
 * INVALID, TOO_LARGE or NO_MEMORY; `ret_why` is a sentence without full stop then. What was added
 * before stays. */
enum status jose_keys_add_json(
    struct jose_keys *keys, struct slice text, unsigned options, const char **ret_why);

/* Adds the public key or the certificate's key in PEM under `id`, which may be empty. As above. */
enum status jose_keys_add_pem(
    struct jose_keys *keys, struct slice pem, struct slice id, const char **ret_why);

/* Adds a secret for HMAC of at least 32 bytes (RFC 7518 §3.2). As above. */
enum status jose_keys_add_secret(
    struct jose_keys *keys, struct slice secret, struct slice id, const char **ret_why);

/* The first key, then along `next`; NULL when the set is empty. */
const struct jose_key *jose_keys_first(const struct jose_keys *keys);
size_t jose_keys_count(const struct jose_keys *keys);

/* Is each key of `others` in the set, too: the same one, under the same name, for the same
 * algorithms? */
bool jose_keys_cover(const struct jose_keys *keys, const struct jose_keys *others);

/* How many keys of JWK Sets were passed over. */
size_t jose_keys_skipped(const struct jose_keys *keys);
