#include "jose/seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/base64.h"
#include "base/random.h"

#define VERSION    1
#define SALT_SIZE  24
#define NONCE_SIZE 12
#define TAG_SIZE   16
#define HEAD_SIZE  (1 + SALT_SIZE)
#define EXTRA_SIZE (HEAD_SIZE + TAG_SIZE)

/* RFC 5869, both steps. */
static bool derive(struct slice secret, struct slice salt, struct slice purpose,
    unsigned char *ret_key, size_t size)
{
    OSSL_PARAM params[5], *p = params;
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    *p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA256"}, 0);
    *p++ = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.data, secret.size);
    if (salt.size)
        *p++ = OSSL_PARAM_construct_octet_string(
            OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt.data, salt.size);
    *p++ = OSSL_PARAM_construct_octet_string(
        OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose.data, purpose.size);
    *p = OSSL_PARAM_construct_end();
    bool good = context && EVP_KDF_derive(context, ret_key, size, params) > 0;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    ERR_clear_error();
    return good;
}

enum status sealer_init(struct sealer *sealer, const struct slice *secrets, size_t count,
    struct slice purpose, const char **ret_why)
{
    sealer->count = 0;
    *ret_why = "there is none";
    if (count == 0)
        return INVALID;
    *ret_why = "there are more than 8";
    if (count > SEAL_SECRETS_MAX)
        return INVALID;
    *ret_why = "a secret has at least 32 bytes";
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].size < SEAL_SECRET_MIN)
            return INVALID;
        if (!derive(secrets[i], SLICE_NONE, purpose, sealer->keys[i], SEAL_KEY_SIZE))
            return INTERNAL;
    }
    sealer->count = (unsigned)count;
    return OK;
}

void sealer_release(void *sealer)
{
    OPENSSL_cleanse(sealer, sizeof(struct sealer));
}

/* What one text is sealed with. */
struct text_key {
    unsigned char key[SEAL_KEY_SIZE], nonce[NONCE_SIZE];
};

static bool text_key_of(
    const struct sealer *sealer, unsigned i, const char *salt, struct text_key *key)
{
    return derive(slice_of((const char *)sealer->keys[i], SEAL_KEY_SIZE), slice_of(salt, SALT_SIZE),
        SLICE("text"), key->key, sizeof *key);
}

/* The head is authenticated with the rest. */
static bool encrypt(const struct text_key *key, struct slice bytes, char *sealed)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    unsigned char *out = (unsigned char *)sealed;
    int size;
    bool good = context &&
                EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->key, key->nonce) > 0 &&
                EVP_EncryptUpdate(context, NULL, &size, out, HEAD_SIZE) > 0 &&
                EVP_EncryptUpdate(context, out + HEAD_SIZE, &size,
                    (const unsigned char *)bytes.data, (int)bytes.size) > 0 &&
                EVP_EncryptFinal_ex(context, out + HEAD_SIZE + bytes.size, &size) > 0 &&
                EVP_CIPHER_CTX_ctrl(
                    context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, out + HEAD_SIZE + bytes.size) > 0;
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    return good;
}

static bool decrypt(const struct text_key *key, struct slice sealed, char *bytes)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const unsigned char *in = (const unsigned char *)sealed.data;
    unsigned char tag[TAG_SIZE], rest[TAG_SIZE];
    int size;
    memcpy(tag, in + sealed.size - TAG_SIZE, TAG_SIZE);
    bool good = context &&
                EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key->key, key->nonce) > 0 &&
                EVP_DecryptUpdate(context, NULL, &size, in, HEAD_SIZE) > 0 &&
                EVP_DecryptUpdate(context, (unsigned char *)bytes, &size, in + HEAD_SIZE,
                    (int)(sealed.size - EXTRA_SIZE)) > 0 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) > 0 &&
                EVP_DecryptFinal_ex(context, rest, &size) > 0;
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    return good;
}

enum status seal(
    const struct sealer *sealer, struct arena *arena, struct slice bytes, struct slice *ret_text)
{
    size_t size = bytes.size + EXTRA_SIZE;
    struct text_key key;
    if (bytes.size > SEAL_SIZE_MAX / 4 * 3 - EXTRA_SIZE)
        return TOO_LARGE;
    char *sealed = arena_bytes(arena, size), *text = arena_bytes(arena, base64_encoded_size(size));
    if (!sealed || !text)
        return NO_MEMORY;
    sealed[0] = VERSION;
    random_bytes(sealed + 1, SALT_SIZE);
    bool good = text_key_of(sealer, 0, sealed + 1, &key) && encrypt(&key, bytes, sealed);
    OPENSSL_cleanse(&key, sizeof key);
    if (!good)
        return INTERNAL;
    *ret_text =
        slice_of(text, base64_encode(slice_of(sealed, size), BASE64_URL | BASE64_UNPADDED, text));
    return OK;
}

enum status unseal(
    const struct sealer *sealer, struct arena *arena, struct slice text, struct slice *ret_bytes)
{
    size_t size;
    if (text.size > SEAL_SIZE_MAX)
        return INVALID;
    size_t room = base64_decoded_size(text.size);
    char *sealed = arena_bytes(arena, room + 1), *bytes = arena_bytes(arena, room + 1);
    if (!sealed || !bytes)
        return NO_MEMORY;
    if (!base64_decode(text, BASE64_URL | BASE64_UNPADDED, sealed, &size) || size < EXTRA_SIZE ||
        sealed[0] != VERSION)
        return INVALID;
    enum status e = INVALID;
    for (unsigned i = 0; i < sealer->count && e == INVALID; i++) {
        struct text_key key;
        if (!text_key_of(sealer, i, sealed + 1, &key))
            e = INTERNAL;
        else if (decrypt(&key, slice_of(sealed, size), bytes))
            e = OK;
        OPENSSL_cleanse(&key, sizeof key);
    }
    if (!e)
        *ret_bytes = slice_of(bytes, size - EXTRA_SIZE);
    return e;
}
