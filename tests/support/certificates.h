/* Certificates made on the spot, for tests of TLS. */
#pragma once

#include "base/slice.h"

/* What to make. Zero: a P-256 certificate for "localhost", good for a day, signed by itself. */
struct certificate_recipe {
    const char *subject;   /* common name; NULL: "localhost" */
    const char *names;     /* as openssl writes alternative names: "DNS:a.example,IP:127.0.0.1" */
    const char *responder; /* an OCSP responder's URL; or NULL */
    int rsa;               /* bits; 0: P-256 */
    int begins, ends;      /* hours from now; ends 0: 24 */
    bool is_authority;
    const struct certificate *issuer; /* NULL: itself */
};

struct certificate {
    struct slice pem, key; /* owned */
    void *x509, *pkey;     /* owned */
};

/* Fails the test when something goes wrong. */
struct certificate *certificate_make(const struct certificate_recipe *recipe);
void certificate_free(struct certificate *certificate);

/* The key under a password, to be given to free(). */
char *certificate_encrypted_key(const struct certificate *certificate);
