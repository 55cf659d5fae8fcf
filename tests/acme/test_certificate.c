#include "acme/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "support/unit.h"

static X509 *read_certificate(struct text *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static void requests_name_the_host(void **state)
{
    (void)state;
    struct acme_key *key;
    struct text der = text_growing(0);
    assert_ok(acme_key_new(&key));
    assert_ok(acme_request_certificate(key, SLICE("shop.example"), &der));
    const unsigned char *at = (const unsigned char *)der.data;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.size);
    assert_non_null(request);
    assert_int_equal(X509_REQ_verify(request, acme_key_openssl(key)), 1);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
    assert_int_equal(sk_X509_EXTENSION_num(extensions), 1);
    assert_non_null(memmem(der.data, der.size, "shop.example", 12));
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(request);
    assert_status(acme_request_certificate(key, SLICE("a,DNS:b"), &der), NO_MEMORY);
    text_release(&der);
    acme_key_free(key);
}

static void self_signed_ones_are_for_the_name(void **state)
{
    (void)state;
    struct acme_key *key;
    struct text pem = text_growing(0);
    assert_ok(acme_key_new(&key));
    assert_ok(acme_sign_self(key, SLICE("shop.example"), &pem));
    X509 *certificate = read_certificate(&pem);
    assert_int_equal(X509_check_host(certificate, "shop.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "other.example", 0, 0, NULL), 0);
    assert_int_equal(X509_verify(certificate, acme_key_openssl(key)), 1);
    X509_free(certificate);
    text_release(&pem);
    acme_key_free(key);
}

/* RFC 8737 §3: a critical extension whose value is the digest, twice an OCTET STRING. */
static void challenges_say_the_digest(void **state)
{
    (void)state;
    struct acme_key *key;
    unsigned char digest[32];
    struct text pem = text_growing(0);
    assert_ok(acme_key_new(&key));
    assert_ok(acme_sign_challenge(key, SLICE("shop.example"), SLICE("token.print"), &pem));
    X509 *certificate = read_certificate(&pem);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    X509_EXTENSION *extension =
        X509_get_ext(certificate, X509_get_ext_by_OBJ(certificate, oid, -1));
    assert_non_null(extension);
    assert_true(X509_EXTENSION_get_critical(extension));
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    assert_int_equal(value->length, 34);
    assert_int_equal(value->data[0], V_ASN1_OCTET_STRING);
    assert_int_equal(value->data[1], 32);
    assert_true(EVP_Digest("token.print", 11, digest, NULL, EVP_sha256(), NULL));
    assert_memory_equal(value->data + 2, digest, 32);
    ASN1_OBJECT_free(oid);
    X509_free(certificate);
    text_release(&pem);
    acme_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_name_the_host),
        cmocka_unit_test(self_signed_ones_are_for_the_name),
        cmocka_unit_test(challenges_say_the_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
