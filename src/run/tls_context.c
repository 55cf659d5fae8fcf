#include <openssl/err.h>

#include "run/tls_core.h"

/* Mozilla's "intermediate" profile (wiki.mozilla.org/Security/Server_Side_TLS), without the slow
 * DHE: which of them is the client's choice, who knows what its hardware is good at. */
#define CIPHERS_1_2                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS      "X25519:P-256:P-384"

SSL_CTX *tls_context_new(const SSL_METHOD *method, enum tls_version least)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context || !SSL_CTX_set_cipher_list(context, CIPHERS_1_2) ||
        !SSL_CTX_set_ciphersuites(context, CIPHERS_1_3) ||
        !SSL_CTX_set1_groups_list(context, GROUPS) ||
        !SSL_CTX_set_min_proto_version(
            context, least == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

static STACK_OF(X509) * copy_chain(const struct tls_identity *identity)
{
    STACK_OF(X509) *copy = sk_X509_new_null();
    for (int i = 0; copy && i < sk_X509_num(identity->chain); i++) {
        X509 *one = X509_dup(sk_X509_value(identity->chain, i));
        if (one && sk_X509_push(copy, one))
            continue;
        X509_free(one);
        sk_X509_pop_free(copy, X509_free);
        copy = NULL;
    }
    return copy;
}

enum status tls_context_show(SSL_CTX *context, const struct tls_identity *identity)
{
    X509 *leaf = X509_dup(identity->leaf);
    EVP_PKEY *key = EVP_PKEY_dup(identity->key);
    STACK_OF(X509) *chain = copy_chain(identity);
    bool is_done = leaf && key && chain && SSL_CTX_use_cert_and_key(context, leaf, key, chain, 1);
    X509_free(leaf);
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return is_done ? OK : NO_MEMORY;
}

enum status tls_write_protocols(struct arena *arena, const struct slice *protocols, size_t count,
    unsigned char **ret_bytes, unsigned *ret_size)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (protocols[i].size == 0 || protocols[i].size > UINT8_MAX)
            return INVALID;
        size += 1 + protocols[i].size;
    }
    unsigned char *bytes = (unsigned char *)arena_bytes(arena, size + 1);
    if (!bytes)
        return NO_MEMORY;
    *ret_bytes = bytes;
    *ret_size = (unsigned)size;
    for (size_t i = 0; i < count; i++) {
        *bytes++ = (unsigned char)protocols[i].size;
        memcpy(bytes, protocols[i].data, protocols[i].size);
        bytes += protocols[i].size;
    }
    return OK;
}
