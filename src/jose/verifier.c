#include "jose/verifier.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

/* For one key and one algorithm. */
struct jose_verifier {
    enum jose_algorithm algorithm;
    EVP_MD *digest;        /* owned, as what follows */
    EVP_MD_CTX *hash;      /* of `digest` */
    EVP_PKEY_CTX *context; /* of the key, ready to verify */
};

static void verifier_free(struct jose_verifier *verifier)
{
    if (!verifier)
        return;
    EVP_PKEY_CTX_free(verifier->context);
    EVP_MD_CTX_free(verifier->hash);
    EVP_MD_free(verifier->digest);
    free(verifier);
}

void jose_verifiers_release(struct jose_verifiers *verifiers)
{
    for (size_t i = 0; i < JOSE_VERIFIERS_SPARE; i++)
        verifier_free(atomic_exchange(&verifiers->spare[i], NULL));
}

static bool set_padding(EVP_PKEY_CTX *context, enum jose_family family)
{
    if (family == JOSE_BY_RSA)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
    if (family == JOSE_BY_RSA_PSS) /* a salt as long as the digest: RFC 7518 §3.5 */
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
    return true;
}

static bool set_up(struct jose_verifier *verifier, EVP_PKEY *pair)
{
    const struct jose_algorithm_facts *facts = jose_algorithm_facts(verifier->algorithm);
    verifier->digest = EVP_MD_fetch(NULL, facts->digest, NULL);
    verifier->hash = EVP_MD_CTX_new();
    verifier->context = EVP_PKEY_CTX_new(pair, NULL);
    return verifier->digest && verifier->hash && verifier->context &&
           EVP_DigestInit_ex2(verifier->hash, verifier->digest, NULL) == 1 &&
           EVP_PKEY_verify_init(verifier->context) > 0 &&
           EVP_PKEY_CTX_set_signature_md(verifier->context, verifier->digest) > 0 &&
           set_padding(verifier->context, facts->family);
}

/* NULL: no memory. */
static struct jose_verifier *verifier_new(EVP_PKEY *pair, enum jose_algorithm algorithm)
{
    struct jose_verifier *verifier = calloc(1, sizeof *verifier);
    if (!verifier)
        return NULL;
    verifier->algorithm = algorithm;
    if (set_up(verifier, pair))
        return verifier;
    verifier_free(verifier);
    return NULL;
}

static struct jose_verifier *take(
    struct jose_verifiers *verifiers, EVP_PKEY *pair, enum jose_algorithm algorithm)
{
    for (size_t i = 0; i < JOSE_VERIFIERS_SPARE; i++) {
        if (!atomic_load_explicit(&verifiers->spare[i], memory_order_relaxed))
            continue;
        struct jose_verifier *verifier =
            atomic_exchange_explicit(&verifiers->spare[i], NULL, memory_order_acquire);
        if (verifier && verifier->algorithm == algorithm)
            return verifier;
        verifier_free(verifier);
    }
    return verifier_new(pair, algorithm);
}

static void put_back(struct jose_verifiers *verifiers, struct jose_verifier *verifier)
{
    for (size_t i = 0; i < JOSE_VERIFIERS_SPARE; i++) {
        struct jose_verifier *nothing = NULL;
        if (atomic_compare_exchange_strong_explicit(&verifiers->spare[i], &nothing, verifier,
                memory_order_release, memory_order_relaxed))
            return;
    }
    verifier_free(verifier);
}

static bool digest(const struct jose_verifier *verifier, struct slice input,
    unsigned char ret_digest[EVP_MAX_MD_SIZE])
{
    return EVP_DigestInit_ex2(verifier->hash, NULL, NULL) == 1 &&
           EVP_DigestUpdate(verifier->hash, input.data, input.size) == 1 &&
           EVP_DigestFinal_ex(verifier->hash, ret_digest, NULL) == 1;
}

enum status jose_verify(struct jose_verifiers *verifiers, EVP_PKEY *pair,
    enum jose_algorithm algorithm, struct slice input, struct slice signature)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct jose_verifier *verifier = take(verifiers, pair, algorithm);
    if (!verifier)
        return NO_MEMORY;
    if (!digest(verifier, input, hash)) {
        verifier_free(verifier);
        return NO_MEMORY;
    }
    bool is_same = EVP_PKEY_verify(verifier->context, (const unsigned char *)signature.data,
                       signature.size, hash, jose_algorithm_facts(algorithm)->digest_size) == 1;
    put_back(verifiers, verifier);
    return is_same ? OK : TOKEN_SIGNATURE;
}
