/* Secrets of webhooks, and verifying with them. */
#pragma once

#include "base/arena.h"
#include "policy/webhook_form.h"

#define WEBHOOK_KEYS_MAX 8 /* while secrets are changed two are usual */

typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_mac_ctx_st EVP_MAC_CTX;

struct webhook_key {
    EVP_MAC_CTX *hmac; /* owned: begun with the secret; NULL: it is a public key */
    EVP_PKEY *ed25519; /* owned */
};

/* A secret as the form writes it. INVALID, and a sentence without its full stop that does not tell
 * the secret; NO_MEMORY. Any thread may use it then. */
enum status webhook_key_read(const struct webhook_form *form, struct slice text,
    struct webhook_key *ret_key, const char **ret_why);
void webhook_key_release(struct webhook_key *key);

/* Is one of the claim's signatures by one of the keys? It takes as long for a wrong signature as
 * for any other. OK, and which key it was; NOT_FOUND; NO_MEMORY. */
enum status webhook_keys_verify(const struct webhook_form *form, const struct webhook_key *keys,
    size_t count, const struct webhook_claim *claim, struct slice body, size_t *ret_key);
