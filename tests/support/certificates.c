#include "support/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/random.h"
#include "support/unit.h"

static struct slice take(BIO *bio)
{
    char *data;
    size_t size = (size_t)BIO_get_mem_data(bio, &data);
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    copy[size] = '\0';
    BIO_free(bio);
    return slice_of(copy, size);
}

static void add_extension(X509 *x509, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    assert_non_null(extension);
    assert_true(X509_add_ext(x509, extension, -1));
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *x509, X509 *issuer, const struct certificate_recipe *recipe)
{
    char responder[256];
    add_extension(x509, issuer, NID_subject_key_identifier, "hash");
    if (recipe->is_authority)
        add_extension(x509, issuer, NID_basic_constraints, "critical,CA:TRUE");
    else
        add_extension(x509, issuer, NID_subject_alt_name,
            recipe->names ? recipe->names : "DNS:localhost,IP:127.0.0.1");
    if (!recipe->responder)
        return;
    snprintf(responder, sizeof responder, "OCSP;URI:%s", recipe->responder);
    add_extension(x509, issuer, NID_info_access, responder);
}

static void set_times(X509 *x509, const struct certificate_recipe *recipe)
{
    int ends = recipe->ends ? recipe->ends : 24;
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x509), recipe->begins * 3600L - 60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x509), ends * 3600L));
}

struct certificate *certificate_make(const struct certificate_recipe *recipe)
{
    struct certificate *made = calloc(1, sizeof *made);
    uint32_t serial;
    EVP_PKEY *pkey = recipe->rsa ? EVP_RSA_gen((unsigned)recipe->rsa) : EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    assert_true(made && pkey && x509);
    X509 *issuer = recipe->issuer ? recipe->issuer->x509 : x509;
    random_bytes(&serial, sizeof serial);
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial & INT32_MAX);
    set_times(x509, recipe);
    X509_set_pubkey(x509, pkey);
    const char *subject = recipe->subject ? recipe->subject : "localhost";
    assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
        (const unsigned char *)subject, -1, -1, 0));
    X509_set_issuer_name(x509, X509_get_subject_name(issuer));
    add_extensions(x509, issuer, recipe);
    assert_true(X509_sign(x509, recipe->issuer ? recipe->issuer->pkey : pkey, EVP_sha256()));
    BIO *pem = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_X509(pem, x509));
    assert_true(PEM_write_bio_PrivateKey(key, pkey, NULL, NULL, 0, NULL, NULL));
    *made = (struct certificate){.pem = take(pem), .key = take(key), .x509 = x509, .pkey = pkey};
    return made;
}

void certificate_free(struct certificate *certificate)
{
    if (!certificate)
        return;
    free((char *)certificate->pem.data);
    free((char *)certificate->key.data);
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->pkey);
    free(certificate);
}

char *certificate_encrypted_key(const struct certificate *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_PrivateKey(
        bio, certificate->pkey, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL));
    return (char *)take(bio).data;
}
