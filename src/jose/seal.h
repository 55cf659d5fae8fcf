/* Sealed texts: what the gateway gives away to be brought back, which nobody else can read, change
 * or make, as the state of a browser's session in a cookie.
 *
 *     e = sealer_init(&sealer, secrets, count, SLICE("session"), &why);
 *     e = seal(&sealer, arena, bytes, &text);
 *     e = unseal(&sealer, arena, text, &bytes);
 *
 * Each purpose has keys of its own (HKDF-SHA-256, RFC 5869), so that what is sealed for one cannot
 * be passed off for another. Each text has, too: a salt of 24 random bytes makes the key and the
 * nonce of AES-256-GCM, so any number of texts can be made by any number of gateways with one
 * secret. The first secret seals, all unseal: a secret is changed by putting the new one in front
 * and taking the old one away when its last text has had its time. What a text says about its own
 * time is the caller's.
 *
 * The text is base64url of: version (1), salt (24), ciphertext, tag (16). */
#pragma once

#include "base/arena.h"
#include "base/status.h"

#define SEAL_SECRET_MIN  32 /* bytes of a secret, at least */
#define SEAL_SECRETS_MAX 8
#define SEAL_KEY_SIZE    32
#define SEAL_SIZE_MAX    ((size_t)64 << 10) /* bytes of a text */

struct sealer {
    unsigned char keys[SEAL_SECRETS_MAX][SEAL_KEY_SIZE];
    unsigned count;
};

/* INVALID: no secret, too many, or one that is too short; `ret_why` is a sentence without full stop
 * then. INTERNAL: the library failed. The secrets are not needed any more. */
enum status sealer_init(struct sealer *sealer, const struct slice *secrets, size_t count,
    struct slice purpose, const char **ret_why);

/* Forgets the keys. As arena_defer wants it. */
void sealer_release(void *sealer);

/* Into the arena. TOO_LARGE, NO_MEMORY, INTERNAL. Any thread. */
enum status seal(
    const struct sealer *sealer, struct arena *arena, struct slice bytes, struct slice *ret_text);

/* INVALID: none of the secrets has sealed this, for this purpose. NO_MEMORY, INTERNAL. Any thread.
 */
enum status unseal(
    const struct sealer *sealer, struct arena *arena, struct slice text, struct slice *ret_bytes);
