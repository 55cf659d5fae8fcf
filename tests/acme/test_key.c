#include "acme/key.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "support/unit.h"

/* RFC 7515 appendix A.3 has this key; RFC 7638 says how its JWK is written. */
static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                          "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                          "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                          "-----END PRIVATE KEY-----\n";

static struct acme_key *read_key(void)
{
    struct acme_key *key;
    assert_ok(acme_key_read(slice_of_text(pem), &key));
    return key;
}

static void the_jwk_has_one_form(void **state)
{
    (void)state;
    char data[512];
    struct text text = text_fixed(data, sizeof data);
    struct acme_key *key = read_key();
    assert_ok(acme_key_jwk(key, &text));
    assert_slice(text_slice(&text),
        "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
    acme_key_free(key);
}

static void the_thumbprint_is_short(void **state)
{
    (void)state;
    char data[64];
    struct text text = text_fixed(data, sizeof data);
    struct acme_key *key = read_key();
    assert_ok(acme_key_thumbprint(key, &text));
    assert_int_equal(text.size, 43); /* 32 bytes in base64url */
    struct text none = text_fixed(data, 10);
    assert_status(acme_key_thumbprint(key, &none), NO_MEMORY);
    acme_key_free(key);
}

static void a_key_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct acme_key *key, *again;
    struct text written = text_growing(0), first = text_growing(0), second = text_growing(0);
    assert_ok(acme_key_new(&key));
    assert_ok(acme_key_write(key, &written));
    assert_ok(acme_key_read(text_slice(&written), &again));
    assert_ok(acme_key_jwk(key, &first));
    assert_ok(acme_key_jwk(again, &second));
    assert_slices(text_slice(&first), text_slice(&second));
    text_release(&written);
    text_release(&first);
    text_release(&second);
    acme_key_free(key);
    acme_key_free(again);
}

static void other_kinds_are_refused(void **state)
{
    (void)state;
    struct acme_key *key;
    assert_status(acme_key_read(SLICE("nonsense"), &key), INVALID);
    assert_status(acme_key_read(SLICE_NONE, &key), INVALID);
    EVP_PKEY *rsa = EVP_RSA_gen(1024);
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(rsa && bio && PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL));
    long size = BIO_get_mem_data(bio, &data);
    assert_status(acme_key_read(slice_of(data, (size_t)size), &key), INVALID);
    BIO_free(bio);
    EVP_PKEY_free(rsa);
    acme_key_free(NULL);
}

/* The two numbers of a signature, as OpenSSL wants them. */
static void signatures_are_good(void **state)
{
    (void)state;
    unsigned char signature[ACME_SIGNATURE_SIZE], der[80], *end = der;
    struct acme_key *key = read_key();
    assert_ok(acme_key_sign(key, SLICE("words"), signature));
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    assert_true(ECDSA_SIG_set0(
        numbers, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL)));
    int size = i2d_ECDSA_SIG(numbers, &end);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_true(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, acme_key_openssl(key)));
    assert_int_equal(
        EVP_DigestVerify(context, der, (size_t)size, (const unsigned char *)"words", 5), 1);
    EVP_MD_CTX_free(context);
    ECDSA_SIG_free(numbers);
    acme_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_jwk_has_one_form),
        cmocka_unit_test(the_thumbprint_is_short),
        cmocka_unit_test(a_key_is_read_as_it_was_written),
        cmocka_unit_test(other_kinds_are_refused),
        cmocka_unit_test(signatures_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
