/* Making certificates and requests for them. */
#pragma once

#include "acme/key.h"

/* Appends a request (PKCS #10, DER) for a certificate of that DNS name, signed with its key. */
enum status acme_request_certificate(
    const struct acme_key *key, struct slice name, struct text *text);

/* Appends a certificate (PEM) that the key signs for itself: what answers until a real one is
 * there. */
enum status acme_sign_self(const struct acme_key *key, struct slice name, struct text *text);

/* The same for TLS-ALPN-01 (RFC 8737 §3): it says the SHA-256 of the key authorization. */
enum status acme_sign_challenge(
    const struct acme_key *key, struct slice name, struct slice authorization, struct text *text);
