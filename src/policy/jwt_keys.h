/* Where the keys come from that tokens are verified with: a file or a text, a shared secret, a URL,
 * or whatever URL the issuer's discovery document names. Part of auth_jwt. */
#pragma once

#include "policy/keyring.h"

struct jwt_keys {
    /* Options. */
    struct slice keys, secret;
    struct place keys_place, secret_place;
    struct keyring_options remote;

    /* Made by jwt_keys_prepare. */
    struct jose_keys *local; /* counted, the snapshot's */
    struct keyring *ring;    /* the snapshot's; NULL: all keys are local */
};

/* `issuers` are texts. INVALID after a complaint, NO_MEMORY. */
enum status jwt_keys_prepare(
    struct prepare *prepare, struct jwt_keys *keys, const struct option_list *issuers);

/* As jws_verify and keyring_verify. */
enum status jwt_keys_verify(const struct jwt_keys *keys, struct exchange *x, const struct jws *jws);

/* As keyring_epoch. */
static inline uint32_t jwt_keys_epoch(const struct jwt_keys *keys)
{
    return keys->ring ? keyring_epoch(keys->ring) : 0;
}
