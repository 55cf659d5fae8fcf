/* One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2) as OpenSSL wants it. Part of keys. */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "jose/keys.h"

#define JWK_SHORT_SECRET "a secret has at least 32 bytes"

/* The key's `id` and `secret` lie in the arena or in the JSON text; `pair` becomes the caller's.
 * INVALID: malformed, of an unknown kind, not for verifying, or too weak; `ret_why` says which. */
enum status jwk_read(struct arena *arena, const struct json_value *jwk, unsigned options,
    struct jose_key *ret_key, const char **ret_why);

/* The bits of the algorithms that a key's kind and size allow; 0: none, and `ret_why` says why. */
unsigned jwk_algorithms_of(const EVP_PKEY *pair, const char **ret_why);

/* The same for a secret of `size` bytes: a digest must not be longer (RFC 7518 §3.2). */
unsigned jwk_algorithms_of_secret(size_t size);
