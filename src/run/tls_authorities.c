#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "run/tls_core.h"

static struct tls_authorities *make(void)
{
    struct tls_authorities *authorities = calloc(1, sizeof *authorities);
    if (!authorities)
        return NULL;
    authorities->users = 1;
    authorities->store = X509_STORE_new();
    if (authorities->store)
        return authorities;
    free(authorities);
    return NULL;
}

static bool add(struct tls_authorities *authorities, X509 *certificate)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(certificate));
    if (!name || !sk_X509_NAME_push(authorities->list, name)) {
        X509_NAME_free(name);
        return false;
    }
    return X509_STORE_add_cert(authorities->store, certificate) == 1;
}

/* How many there are; -1: one is malformed. */
static int read_all(struct tls_authorities *authorities, struct slice pem)
{
    BIO *bio = pem.size > INT32_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.size);
    X509 *one;
    int count = 0;
    ERR_clear_error();
    while (bio && count >= 0 && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        count = add(authorities, one) ? count + 1 : -1;
        X509_free(one);
    }
    if (count >= 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        count = -1;
    BIO_free(bio);
    ERR_clear_error();
    return count;
}

/* A server's own certificate, or one in the middle of a chain, may be trusted by itself: who names
 * a file means what is in it. */
enum status tls_authorities_new(
    struct slice pem, struct tls_authorities **ret_authorities, const char **ret_problem)
{
    struct tls_authorities *authorities = make();
    if (!authorities)
        return NO_MEMORY;
    authorities->list = sk_X509_NAME_new_null();
    X509_STORE_set_flags(authorities->store, X509_V_FLAG_PARTIAL_CHAIN);
    int count = authorities->list ? read_all(authorities, pem) : -1;
    unsigned size = 0;
    if (count > 0 &&
        EVP_Digest(pem.data, pem.size, authorities->digest, &size, EVP_sha256(), NULL)) {
        *ret_authorities = authorities;
        return OK;
    }
    tls_authorities_unref(authorities);
    *ret_problem = count < 0 ? "a certificate in it is malformed" : "there is no certificate in it";
    return INVALID;
}

enum status tls_authorities_system(struct tls_authorities **ret_authorities)
{
    struct tls_authorities *authorities = make();
    if (!authorities)
        return NO_MEMORY;
    bool is_good = X509_STORE_set_default_paths(authorities->store) == 1;
    ERR_clear_error();
    if (!is_good) {
        tls_authorities_unref(authorities);
        return NOT_FOUND;
    }
    *ret_authorities = authorities;
    return OK;
}

struct tls_authorities *tls_authorities_ref(struct tls_authorities *authorities)
{
    atomic_fetch_add_explicit(&authorities->users, 1, memory_order_relaxed);
    return authorities;
}

void tls_authorities_unref(struct tls_authorities *authorities)
{
    if (!authorities ||
        atomic_fetch_sub_explicit(&authorities->users, 1, memory_order_acq_rel) != 1)
        return;
    X509_STORE_free(authorities->store);
    sk_X509_NAME_pop_free(authorities->list, X509_NAME_free);
    free(authorities);
}
