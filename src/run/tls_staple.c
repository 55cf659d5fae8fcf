#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "run/tls_core.h"

#define CLOCK_SLACK 300 /* seconds by which the responder's clock may differ from ours */

static X509 *issuer_of(const struct tls_identity *identity)
{
    for (int i = 0; i < sk_X509_num(identity->chain); i++) {
        X509 *one = sk_X509_value(identity->chain, i);
        if (X509_check_issued(one, identity->leaf) == X509_V_OK)
            return one;
    }
    return NULL;
}

static OCSP_CERTID *name_certificate(const struct tls_identity *identity)
{
    X509 *issuer = issuer_of(identity);
    return issuer ? OCSP_cert_to_id(EVP_sha1(), identity->leaf, issuer) : NULL;
}

enum status tls_identity_question(
    const struct tls_identity *identity, char **ret_question, size_t *ret_size)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *name = name_certificate(identity);
    enum status e = INVALID;
    if (name && request && OCSP_request_add0_id(request, name)) {
        name = NULL; /* the request's now */
        unsigned char *end;
        int size = i2d_OCSP_REQUEST(request, NULL);
        char *question = size > 0 ? malloc((size_t)size) : NULL;
        e = question ? OK : NO_MEMORY;
        if (question) {
            end = (unsigned char *)question;
            *ret_size = (size_t)i2d_OCSP_REQUEST(request, &end);
            *ret_question = question;
        }
    }
    OCSP_CERTID_free(name);
    OCSP_REQUEST_free(request);
    ERR_clear_error();
    return e;
}

/* Signed by the issuer, or by whom it has delegated that to. */
static bool is_genuine(const struct tls_identity *identity, OCSP_BASICRESP *basic)
{
    X509_STORE *store = X509_STORE_new();
    X509 *issuer = issuer_of(identity);
    bool is_good = store && issuer && X509_STORE_add_cert(store, issuer);
    if (is_good) {
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        is_good = OCSP_basic_verify(basic, identity->chain, store, 0) == 1;
    }
    X509_STORE_free(store);
    return is_good;
}

static bool says_good(
    const struct tls_identity *identity, OCSP_BASICRESP *basic, int64_t *ret_until)
{
    OCSP_CERTID *name = name_certificate(identity);
    ASN1_GENERALIZEDTIME *begin = NULL, *next = NULL;
    int verdict = V_OCSP_CERTSTATUS_UNKNOWN;
    bool is_found = name && OCSP_resp_find_status(basic, name, &verdict, NULL, NULL, &begin, &next);
    OCSP_CERTID_free(name);
    if (!is_found || verdict != V_OCSP_CERTSTATUS_GOOD || !next ||
        !OCSP_check_validity(begin, next, CLOCK_SLACK, -1))
        return false;
    *ret_until = tls_seconds_of(next);
    return true;
}

static bool is_good(const struct tls_identity *identity, struct slice bytes, int64_t *ret_until)
{
    const unsigned char *start = (const unsigned char *)bytes.data;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &start, (long)bytes.size);
    OCSP_BASICRESP *basic = NULL;
    if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    bool is_good = basic && is_genuine(identity, basic) && says_good(identity, basic, ret_until);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return is_good;
}

static void replace(struct tls_identity *identity, unsigned char *staple, size_t size)
{
    pthread_mutex_lock(&identity->mutex);
    unsigned char *old = identity->staple;
    identity->staple = staple;
    identity->staple_size = size;
    pthread_mutex_unlock(&identity->mutex);
    free(old);
}

enum status tls_identity_staple(
    struct tls_identity *identity, struct slice response, int64_t *ret_until)
{
    int64_t until;
    if (response.size == 0) {
        replace(identity, NULL, 0);
        return OK;
    }
    if (response.size > INT32_MAX || !is_good(identity, response, &until))
        return INVALID;
    unsigned char *copy = malloc(response.size);
    if (!copy)
        return NO_MEMORY;
    memcpy(copy, response.data, response.size);
    replace(identity, copy, response.size);
    if (ret_until)
        *ret_until = until;
    return OK;
}

unsigned char *tls_copy_staple(struct tls_identity *identity, size_t *ret_size)
{
    pthread_mutex_lock(&identity->mutex);
    unsigned char *copy = OPENSSL_memdup(identity->staple, identity->staple_size);
    *ret_size = identity->staple_size;
    pthread_mutex_unlock(&identity->mutex);
    return copy;
}
