#include "policy/webhook_key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/base64.h"
#include "base/octets.h"

#define SECRET_MIN       8  /* bytes of a text: fewer could be tried out */
#define WHSEC_MIN        24 /* of Standard Webhooks' */
#define WHSEC_MAX        64
#define PUBLIC_KEY_SIZE  32
#define ENCODED_SIZE_MAX 128 /* characters of any of these */

/* --- reading */

static enum status begin_hmac(struct slice secret, struct webhook_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->hmac = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (key->hmac && EVP_MAC_init(key->hmac, octets_of(secret), secret.size, parameters))
        return OK;
    webhook_key_release(key);
    return NO_MEMORY;
}

static enum status read_text(struct slice text, struct webhook_key *key, const char **ret_why)
{
    *ret_why = "a secret has at least 8 characters";
    return text.size < SECRET_MIN ? INVALID : begin_hmac(text, key);
}

static enum status read_public(struct slice text, struct webhook_key *key, const char **ret_why)
{
    char room[ENCODED_SIZE_MAX];
    size_t size;
    *ret_why = "behind \"whpk_\" stands an Ed25519 key of 32 bytes in Base64";
    if (base64_decoded_size(text.size) > sizeof room || !base64_decode(text, 0, room, &size) ||
        size != PUBLIC_KEY_SIZE)
        return INVALID;
    key->ed25519 = EVP_PKEY_new_raw_public_key(
        EVP_PKEY_ED25519, NULL, (const unsigned char *)room, PUBLIC_KEY_SIZE);
    return key->ed25519 ? OK : INVALID;
}

static enum status read_whsec(struct slice text, struct webhook_key *key, const char **ret_why)
{
    char room[ENCODED_SIZE_MAX];
    size_t size;
    *ret_why = "a secret of Standard Webhooks is \"whsec_\" and 24 to 64 bytes in Base64";
    if (base64_decoded_size(text.size) > sizeof room || !base64_decode(text, 0, room, &size) ||
        size < WHSEC_MIN || size > WHSEC_MAX)
        return INVALID;
    enum status e = begin_hmac(slice_of(room, size), key);
    OPENSSL_cleanse(room, sizeof room);
    return e;
}

enum status webhook_key_read(const struct webhook_form *form, struct slice text,
    struct webhook_key *ret_key, const char **ret_why)
{
    struct webhook_key key = {NULL, NULL};
    enum status e;
    if (form->secret == WEBHOOK_TEXT) {
        e = read_text(text, &key, ret_why);
    } else if (webhook_take_prefix(&text, SLICE("whsk_"))) {
        *ret_why = "\"whsk_\" is the sender's private key: here belongs its \"whpk_\"";
        e = INVALID;
    } else if (webhook_take_prefix(&text, SLICE("whpk_"))) {
        e = read_public(text, &key, ret_why);
    } else {
        (void)webhook_take_prefix(&text, SLICE("whsec_"));
        e = read_whsec(text, &key, ret_why);
    }
    if (!e)
        *ret_key = key;
    return e;
}

void webhook_key_release(struct webhook_key *key)
{
    EVP_MAC_CTX_free(key->hmac);
    EVP_PKEY_free(key->ed25519);
    *key = (struct webhook_key){NULL, NULL};
}

/* --- verifying */

static enum status compute(const struct webhook_key *key, struct slice prefix, struct slice body,
    unsigned char code[WEBHOOK_DIGEST_SIZE])
{
    size_t size = 0;
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(key->hmac);
    bool is_done = context && EVP_MAC_update(context, octets_of(prefix), prefix.size) &&
                   EVP_MAC_update(context, octets_of(body), body.size) &&
                   EVP_MAC_final(context, code, &size, WEBHOOK_DIGEST_SIZE);
    EVP_MAC_CTX_free(context);
    return is_done && size == WEBHOOK_DIGEST_SIZE ? OK : NO_MEMORY;
}

/* Looks at all of them, however early one fits. */
static enum status try_secret(const struct webhook_key *key, const struct webhook_claim *claim,
    struct slice prefix, struct slice body)
{
    unsigned char code[WEBHOOK_DIGEST_SIZE];
    bool is_found = false;
    enum status e = compute(key, prefix, body, code);
    for (unsigned i = 0; !e && i < claim->count; i++)
        if (!claim->signatures[i].is_ed25519)
            is_found |= CRYPTO_memcmp(claim->signatures[i].bytes, code, sizeof code) == 0;
    OPENSSL_cleanse(code, sizeof code);
    if (e)
        return e;
    return is_found ? OK : NOT_FOUND;
}

static enum status try_public(
    const struct webhook_key *key, const struct webhook_claim *claim, struct slice message)
{
    enum status e = NOT_FOUND;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context)
        return NO_MEMORY;
    for (unsigned i = 0; e == NOT_FOUND && i < claim->count; i++) {
        const struct webhook_signature *signature = &claim->signatures[i];
        if (!signature->is_ed25519)
            continue;
        if (!EVP_MD_CTX_reset(context) ||
            EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->ed25519) != 1)
            e = NO_MEMORY;
        else if (EVP_DigestVerify(context, signature->bytes, signature->size, octets_of(message),
                     message.size) == 1)
            e = OK;
    }
    EVP_MD_CTX_free(context);
    return e;
}

static bool has_ed25519(const struct webhook_claim *claim)
{
    for (unsigned i = 0; i < claim->count; i++)
        if (claim->signatures[i].is_ed25519)
            return true;
    return false;
}

/* Ed25519 wants its message in one piece. */
static enum status join(const struct webhook_claim *claim, struct text *text, struct slice body)
{
    if (has_ed25519(claim))
        text_add(text, body);
    return text->failed ? NO_MEMORY : OK;
}

enum status webhook_keys_verify(const struct webhook_form *form, const struct webhook_key *keys,
    size_t count, const struct webhook_claim *claim, struct slice body, size_t *ret_key)
{
    struct text text = text_growing(0);
    webhook_claim_add_prefix(form, claim, &text);
    size_t prefix_size = text.size;
    enum status e = join(claim, &text, body);
    enum status outcome = e ? e : NOT_FOUND;
    for (size_t i = 0; i < count && outcome == NOT_FOUND; i++) {
        outcome = keys[i].hmac ? try_secret(&keys[i], claim,
                                     slice_head(text_slice(&text), prefix_size), body)
                               : try_public(&keys[i], claim, text_slice(&text));
        if (!outcome)
            *ret_key = i;
    }
    text_release(&text);
    return outcome;
}
