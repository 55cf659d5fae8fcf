#include "acme/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/random.h"

#define NAME_MAX_SIZE 253
#define SELF_DAYS     30

/* acmeIdentifier, RFC 8737 §6.1 */
#define IDENTIFIER_OID "1.3.6.1.5.5.7.1.31"

static X509_EXTENSION *make_names(struct slice name)
{
    char value[NAME_MAX_SIZE + 8];
    if (name.size > NAME_MAX_SIZE || slice_find(name, ',') < name.size)
        return NULL;
    snprintf(value, sizeof value, "DNS:%.*s", SLICE_ARG(name));
    return X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, value);
}

static bool add_names_to_request(X509_REQ *request, struct slice name)
{
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    X509_EXTENSION *names = make_names(name);
    bool is_pushed = extensions && names && sk_X509_EXTENSION_push(extensions, names) > 0;
    bool is_done = is_pushed && X509_REQ_add_extensions(request, extensions);
    if (!is_pushed)
        X509_EXTENSION_free(names);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return is_done;
}

enum status acme_request_certificate(
    const struct acme_key *key, struct slice name, struct text *text)
{
    unsigned char *der = NULL;
    X509_REQ *request = X509_REQ_new();
    bool is_done = request && X509_REQ_set_pubkey(request, acme_key_openssl(key)) &&
                   add_names_to_request(request, name) &&
                   X509_REQ_sign(request, acme_key_openssl(key), EVP_sha256()) > 0;
    int size = is_done ? i2d_X509_REQ(request, &der) : 0;
    if (size > 0)
        text_add(text, slice_of((const char *)der, (size_t)size));
    OPENSSL_free(der);
    X509_REQ_free(request);
    return size > 0 && !text->failed ? OK : NO_MEMORY;
}

static bool set_subject(X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(
               subject, "CN", MBSTRING_ASC, (const unsigned char *)"weir", -1, -1, 0) &&
           X509_set_issuer_name(certificate, subject);
}

static bool set_basics(X509 *certificate, const struct acme_key *key)
{
    unsigned char serial[8];
    random_bytes(serial, sizeof serial);
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool is_done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) &&
                   X509_set_version(certificate, X509_VERSION_3) && set_subject(certificate) &&
                   X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
                   X509_gmtime_adj(X509_getm_notAfter(certificate), SELF_DAYS * 86400L) &&
                   X509_set_pubkey(certificate, acme_key_openssl(key));
    BN_free(number);
    return is_done;
}

static bool add_names(X509 *certificate, struct slice name)
{
    X509_EXTENSION *names = make_names(name);
    bool is_done = names && X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    return is_done;
}

/* Critical, and within an OCTET STRING of 32 bytes: the digest. */
static bool add_identifier(X509 *certificate, struct slice authorization)
{
    unsigned char value[2 + 32] = {V_ASN1_OCTET_STRING, 32};
    if (!EVP_Digest(authorization.data, authorization.size, value + 2, NULL, EVP_sha256(), NULL))
        return false;
    ASN1_OBJECT *oid = OBJ_txt2obj(IDENTIFIER_OID, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool is_done = oid && octets && ASN1_OCTET_STRING_set(octets, value, sizeof value) &&
                   (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, octets)) &&
                   X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return is_done;
}

static bool write_pem(X509 *certificate, struct text *text)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_done = bio && PEM_write_bio_X509(bio, certificate);
    if (is_done) {
        long size = BIO_get_mem_data(bio, &data);
        text_add(text, slice_of(data, (size_t)size));
    }
    BIO_free(bio);
    return is_done && !text->failed;
}

/* `authorization` with null data: none. */
static enum status sign_self(
    const struct acme_key *key, struct slice name, struct slice authorization, struct text *text)
{
    X509 *certificate = X509_new();
    bool is_done = certificate && set_basics(certificate, key) && add_names(certificate, name) &&
                   (!authorization.data || add_identifier(certificate, authorization)) &&
                   X509_sign(certificate, acme_key_openssl(key), EVP_sha256()) > 0 &&
                   write_pem(certificate, text);
    X509_free(certificate);
    return is_done ? OK : NO_MEMORY;
}

enum status acme_sign_self(const struct acme_key *key, struct slice name, struct text *text)
{
    return sign_self(key, name, SLICE_NONE, text);
}

enum status acme_sign_challenge(
    const struct acme_key *key, struct slice name, struct slice authorization, struct text *text)
{
    return sign_self(key, name, authorization, text);
}
