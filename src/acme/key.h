/* Keys of accounts and certificates: ECDSA on P-256, what it says in JOSE (RFC 7515, RFC 7518
 * "ES256") and in PEM. */
#pragma once

#include "base/slice.h"
#include "base/status.h"
#include "base/text.h"

struct acme_key;
typedef struct evp_pkey_st EVP_PKEY;

enum status acme_key_new(struct acme_key **ret_key);

/* INVALID: not PEM, or of another kind. */
enum status acme_key_read(struct slice pem, struct acme_key **ret_key);
void acme_key_free(struct acme_key *key); /* NULL is fine */

/* Appends the private key as PEM (PKCS #8). */
enum status acme_key_write(const struct acme_key *key, struct text *text);

/* Appends the public key as a JWK in the one form of RFC 7638. */
enum status acme_key_jwk(const struct acme_key *key, struct text *text);

/* Appends base64url(SHA-256(JWK)). */
enum status acme_key_thumbprint(const struct acme_key *key, struct text *text);

#define ACME_SIGNATURE_SIZE 64 /* r, then s */
enum status acme_key_sign(const struct acme_key *key, struct slice bytes,
    unsigned char ret_signature[ACME_SIGNATURE_SIZE]);

/* For certificates; borrowed. */
EVP_PKEY *acme_key_openssl(const struct acme_key *key);

/* Appends base64url(bytes), without padding. */
void acme_add_base64(struct text *text, struct slice bytes);
