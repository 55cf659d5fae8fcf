/* OpenSSL by itself: an ES256 signature verified by EVP_DigestVerify, as its manual says. */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct signed_text {
    EVP_PKEY *pair;
    const char *text;
    size_t size;
    unsigned char signature[160]; /* as ASN.1 */
    size_t signature_size;
};

static inline void check(int is_good)
{
    if (is_good != 1)
        abort();
}

static inline void sign_text(struct signed_text *s)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    s->signature_size = sizeof s->signature;
    check(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, s->pair));
    check(EVP_DigestSign(
        context, s->signature, &s->signature_size, (const unsigned char *)s->text, s->size));
    EVP_MD_CTX_free(context);
}

static inline void verify_text(const struct signed_text *s)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    check(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, s->pair));
    check(EVP_DigestVerify(
        context, s->signature, s->signature_size, (const unsigned char *)s->text, s->size));
    EVP_MD_CTX_free(context);
}
