/* What OpenSSL needs to verify signatures with a public key, looked up and set up once instead of
 * for each signature, where it costs a tenth of the verifying. A key has some to spare; whoever
 * verifies takes one, has it alone, and puts it back, so any number of threads may verify with one
 * key. */
#pragma once

#include <stdatomic.h>

#include "base/slice.h"
#include "base/status.h"
#include "jose/algorithm.h"

typedef struct evp_pkey_st EVP_PKEY;

#define JOSE_VERIFIERS_SPARE 8

struct jose_verifier;

/* Cleared memory is one without any. */
struct jose_verifiers {
    _Atomic(struct jose_verifier *) spare[JOSE_VERIFIERS_SPARE]; /* owned; NULL: none */
};

/* Nobody may be verifying any more. */
void jose_verifiers_release(struct jose_verifiers *verifiers);

/* Is `signature`, in OpenSSL's form, the one of `input`? By an algorithm of RSA or ECDSA that the
 * pair is for. TOKEN_SIGNATURE: no. NO_MEMORY. Any thread. */
enum status jose_verify(struct jose_verifiers *verifiers, EVP_PKEY *pair,
    enum jose_algorithm algorithm, struct slice input, struct slice signature);
