/* The signature algorithms that tokens may be signed with, as a table. To add one: a line in
 * algorithm.def, and for a new family its verification in jws.c. */
#pragma once

#include "base/slice.h"

enum jose_family { JOSE_BY_HMAC, JOSE_BY_RSA, JOSE_BY_RSA_PSS, JOSE_BY_ECDSA, JOSE_BY_EDDSA };

enum jose_algorithm {
#define ALGORITHM(name, word, family, digest, size, curve) JOSE_##name,
#include "jose/algorithm.def"
#undef ALGORITHM
    JOSE_ALGORITHM_COUNT
};

struct jose_algorithm_facts {
    struct slice word; /* what "alg" says */
    enum jose_family family;
    const char *digest; /* OpenSSL's name; NULL: the algorithm brings its own */
    size_t digest_size; /* bytes */
    const char *curve;  /* of ECDSA, as in "crv"; else NULL */
};

const struct jose_algorithm_facts *jose_algorithm_facts(enum jose_algorithm algorithm);

/* By its exact word; false when there is none. */
bool jose_algorithm_find(struct slice word, enum jose_algorithm *ret_algorithm);
