#include "acme/key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/base64.h"

#define COORDINATE_SIZE 32

struct acme_key {
    EVP_PKEY *pair; /* owned */
};

static enum status wrap(EVP_PKEY *pair, struct acme_key **ret_key)
{
    struct acme_key *key = pair ? malloc(sizeof *key) : NULL;
    if (!key) {
        EVP_PKEY_free(pair);
        return NO_MEMORY;
    }
    key->pair = pair;
    *ret_key = key;
    return OK;
}

enum status acme_key_new(struct acme_key **ret_key)
{
    return wrap(EVP_EC_gen("P-256"), ret_key);
}

static bool is_p256(const EVP_PKEY *pair)
{
    char group[32];
    size_t size;
    return EVP_PKEY_is_a(pair, "EC") && EVP_PKEY_get_group_name(pair, group, sizeof group, &size) &&
           OBJ_txt2nid(group) == NID_X9_62_prime256v1;
}

/* A key with a password is of no use to a program that nobody watches. */
static int refuse_password(char *room, int size, int writes, void *argument)
{
    (void)writes;
    (void)argument;
    if (size > 0)
        room[0] = '\0';
    return -1;
}

enum status acme_key_read(struct slice pem, struct acme_key **ret_key)
{
    BIO *bio = pem.size > INT32_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *pair = bio ? PEM_read_bio_PrivateKey(bio, NULL, refuse_password, NULL) : NULL;
    BIO_free(bio);
    if (!pair || !is_p256(pair)) {
        EVP_PKEY_free(pair);
        return INVALID;
    }
    return wrap(pair, ret_key);
}

void acme_key_free(struct acme_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pair);
    free(key);
}

enum status acme_key_write(const struct acme_key *key, struct text *text)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    bool is_done = bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pair, NULL, NULL, 0, NULL, NULL);
    if (is_done) {
        long size = BIO_get_mem_data(bio, &data);
        text_add(text, slice_of(data, (size_t)size));
    }
    BIO_free(bio);
    return is_done && !text->failed ? OK : NO_MEMORY;
}

void acme_add_base64(struct text *text, struct slice bytes)
{
    size_t room = base64_encoded_size(bytes.size);
    if (text->capacity - text->size < room && !text_reserve(text, room))
        return;
    text->size += base64_encode(bytes, BASE64_URL | BASE64_UNPADDED, text->data + text->size);
}

static bool add_coordinate(const EVP_PKEY *pair, const char *name, struct text *text)
{
    unsigned char bytes[COORDINATE_SIZE];
    BIGNUM *number = NULL;
    bool is_done = EVP_PKEY_get_bn_param(pair, name, &number) &&
                   BN_bn2binpad(number, bytes, sizeof bytes) == sizeof bytes;
    BN_free(number);
    if (is_done)
        acme_add_base64(text, slice_of((const char *)bytes, sizeof bytes));
    return is_done;
}

enum status acme_key_jwk(const struct acme_key *key, struct text *text)
{
    text_add_literal(text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    bool is_done = add_coordinate(key->pair, OSSL_PKEY_PARAM_EC_PUB_X, text);
    text_add_literal(text, "\",\"y\":\"");
    is_done = is_done && add_coordinate(key->pair, OSSL_PKEY_PARAM_EC_PUB_Y, text);
    text_add_literal(text, "\"}");
    return is_done && !text->failed ? OK : NO_MEMORY;
}

enum status acme_key_thumbprint(const struct acme_key *key, struct text *text)
{
    char data[256];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    struct text jwk = text_fixed(data, sizeof data);
    enum status e = acme_key_jwk(key, &jwk);
    if (!e && !EVP_Digest(jwk.data, jwk.size, digest, &size, EVP_sha256(), NULL))
        e = NO_MEMORY;
    if (!e)
        acme_add_base64(text, slice_of((const char *)digest, size));
    return e ? e : text->failed ? NO_MEMORY : OK;
}

/* OpenSSL writes signatures as ASN.1; JOSE wants the two numbers (RFC 7518 §3.4). */
static bool split_signature(
    const unsigned char *asn1, size_t size, unsigned char ret_signature[ACME_SIGNATURE_SIZE])
{
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &asn1, (long)size);
    bool is_done = signature &&
                   BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret_signature, COORDINATE_SIZE) ==
                       COORDINATE_SIZE &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret_signature + COORDINATE_SIZE,
                       COORDINATE_SIZE) == COORDINATE_SIZE;
    ECDSA_SIG_free(signature);
    return is_done;
}

enum status acme_key_sign(const struct acme_key *key, struct slice bytes,
    unsigned char ret_signature[ACME_SIGNATURE_SIZE])
{
    unsigned char asn1[128];
    size_t size = sizeof asn1;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_done =
        context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->pair) > 0 &&
        EVP_DigestSign(context, asn1, &size, (const unsigned char *)bytes.data, bytes.size) > 0 &&
        split_signature(asn1, size, ret_signature);
    EVP_MD_CTX_free(context);
    return is_done ? OK : NO_MEMORY;
}

EVP_PKEY *acme_key_openssl(const struct acme_key *key)
{
    return key->pair;
}
