#include "run/tls_record.h"

#include <openssl/crypto.h>
#include <stdlib.h>

struct record_suite {
    unsigned number; /* RFC 8446 §B.4; 0: behind the last */
    size_t key_size, secret_size;
    EVP_CIPHER *cipher; /* owned */
    EVP_MD *digest;     /* owned */
    EVP_MD_CTX *hash;   /* owned: for one digest after the other */
};

static const struct known_suite {
    unsigned number;
    size_t key_size, secret_size;
    const char *cipher, *digest;
} known_suites[] = {
    {0x1301, 16, 32, "AES-128-GCM", "SHA256"},
    {0x1302, 32, 48, "AES-256-GCM", "SHA384"},
    {0x1303, 32, 32, "ChaCha20-Poly1305", "SHA256"},
};

#define SUITES (sizeof known_suites / sizeof known_suites[0])

static bool prepare(struct record_suite *suite, const struct known_suite *known)
{
    suite->number = known->number;
    suite->key_size = known->key_size;
    suite->secret_size = known->secret_size;
    suite->cipher = EVP_CIPHER_fetch(NULL, known->cipher, NULL);
    suite->digest = EVP_MD_fetch(NULL, known->digest, NULL);
    suite->hash = EVP_MD_CTX_new();
    return suite->cipher && suite->digest && suite->hash;
}

struct record_suite *record_suites_new(void)
{
    struct record_suite *suites = calloc(SUITES + 1, sizeof *suites);
    bool is_good = suites != NULL;
    for (size_t i = 0; is_good && i < SUITES; i++)
        is_good = prepare(&suites[i], &known_suites[i]);
    if (is_good)
        return suites;
    record_suites_free(suites);
    return NULL;
}

void record_suites_free(struct record_suite *suites)
{
    for (size_t i = 0; suites && i < SUITES; i++) {
        EVP_CIPHER_free(suites[i].cipher);
        EVP_MD_free(suites[i].digest);
        EVP_MD_CTX_free(suites[i].hash);
    }
    free(suites);
}

static const struct record_suite *find_suite(const struct record_suite *suites, unsigned number)
{
    for (size_t i = 0; suites[i].number; i++)
        if (suites[i].number == number)
            return &suites[i];
    return NULL;
}

/* One of the two digests of an HMAC (RFC 2104): of the key, mixed with `mix`, and of some bytes. */
static bool digest_keyed(const struct record_suite *suite, const unsigned char *key,
    unsigned char mix, const unsigned char *bytes, size_t size, unsigned char *out)
{
    unsigned char block[128];
    size_t block_size = suite->secret_size == 32 ? 64 : 128; /* of SHA-256, SHA-384 */
    for (size_t i = 0; i < block_size; i++)
        block[i] = mix ^ (i < suite->secret_size ? key[i] : 0);
    bool is_done = EVP_DigestInit_ex(suite->hash, suite->digest, NULL) &&
                   EVP_DigestUpdate(suite->hash, block, block_size) &&
                   EVP_DigestUpdate(suite->hash, bytes, size) &&
                   EVP_DigestFinal_ex(suite->hash, out, NULL);
    OPENSSL_cleanse(block, sizeof block);
    return is_done;
}

/* By hand, since OpenSSL's own costs five times as much for so few bytes. */
static bool hmac(const struct record_suite *suite, const unsigned char *key,
    const unsigned char *bytes, size_t size, unsigned char *out)
{
    unsigned char inner[EVP_MAX_MD_SIZE];
    return digest_keyed(suite, key, 0x36, bytes, size, inner) &&
           digest_keyed(suite, key, 0x5c, inner, suite->secret_size, out);
}

/* HKDF-Expand-Label (RFC 8446 §7.1) without context. No result here is longer than the digest, so
 * one round of HKDF's expansion (RFC 5869 §2.3) makes all of it. */
static bool expand(const struct record_suite *suite, const unsigned char *secret, const char *label,
    unsigned char *out, size_t size)
{
    unsigned char info[32], digest[EVP_MAX_MD_SIZE];
    size_t label_size = strlen(label), at = 0;
    info[at++] = 0;
    info[at++] = (unsigned char)size;
    info[at++] = (unsigned char)(6 + label_size);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_size);
    at += 6 + label_size;
    info[at++] = 0;
    info[at++] = 1;
    bool is_done = hmac(suite, secret, info, at, digest);
    if (is_done)
        memcpy(out, digest, size);
    OPENSSL_cleanse(digest, sizeof digest);
    return is_done;
}

static enum status set_keys(struct record_half *half)
{
    unsigned char key[32];
    const struct record_suite *suite = half->suite;
    bool is_done =
        expand(suite, half->secret, "key", key, suite->key_size) &&
        expand(suite, half->secret, "iv", half->nonce, sizeof half->nonce) &&
        EVP_CipherInit_ex(half->cipher, suite->cipher, NULL, key, NULL, half->seals) == 1;
    OPENSSL_cleanse(key, sizeof key);
    return is_done ? OK : NO_MEMORY;
}

enum status record_half_init(struct record_half *half, const struct record_suite *suites,
    unsigned number, struct slice secret, uint64_t sequence, bool seals)
{
    *half = (struct record_half){
        .suite = find_suite(suites, number), .sequence = sequence, .seals = seals};
    if (!half->suite || secret.size != half->suite->secret_size)
        return NOT_FOUND;
    memcpy(half->secret, secret.data, secret.size);
    half->cipher = EVP_CIPHER_CTX_new();
    return half->cipher ? set_keys(half) : NO_MEMORY;
}

void record_half_release(struct record_half *half)
{
    EVP_CIPHER_CTX_free(half->cipher);
    OPENSSL_cleanse(half, sizeof *half);
}

unsigned record_half_suite(const struct record_half *half)
{
    return half->suite->number;
}

bool record_half_tell(const struct record_half *half, struct record_keys *ret_keys)
{
    struct record_keys keys = {.suite = half->suite->number,
        .key_size = half->suite->key_size,
        .sequence = half->sequence};
    memcpy(keys.nonce, half->nonce, sizeof keys.nonce);
    bool is_done = expand(half->suite, half->secret, "key", keys.key, keys.key_size);
    if (is_done)
        *ret_keys = keys;
    OPENSSL_cleanse(&keys, sizeof keys);
    return is_done;
}

enum status record_half_update(struct record_half *half)
{
    if (!expand(half->suite, half->secret, "traffic upd", half->secret, half->suite->secret_size))
        return NO_MEMORY;
    half->sequence = 0;
    return set_keys(half);
}

/* The nonce of each record is the first one, changed by its number. */
static bool begin(struct record_half *half)
{
    unsigned char nonce[sizeof half->nonce];
    memcpy(nonce, half->nonce, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[sizeof nonce - 1 - i] ^= (unsigned char)(half->sequence >> (8 * i));
    half->sequence++;
    return EVP_CipherInit_ex(half->cipher, NULL, NULL, NULL, nonce, half->seals) == 1;
}

static size_t size_behind(const char *header)
{
    return (size_t)(unsigned char)header[3] << 8 | (unsigned char)header[4];
}

enum status record_measure(struct slice bytes, size_t *ret_size)
{
    if (bytes.size < RECORD_HEADER)
        return INCOMPLETE;
    size_t size = size_behind(bytes.data);
    if (bytes.data[0] != RECORD_DATA || bytes.data[1] != 3 || bytes.data[2] != 3)
        return INVALID;
    if (size > RECORD_SEALED_MAX)
        return TOO_LARGE;
    if (size <= RECORD_TAG)
        return INVALID;
    *ret_size = RECORD_HEADER + size;
    return OK;
}

/* Behind the plaintext stand its type and any number of zeros, which count for the size (RFC 8446
 * §5.4). */
static enum status take_type(
    const char *plain, size_t size, size_t *ret_size, enum record_type *ret_type)
{
    if (size > RECORD_PLAIN_MAX + 1)
        return TOO_LARGE;
    while (size > 0 && plain[size - 1] == 0)
        size--;
    if (size == 0)
        return NOT_FOUND;
    size--;
    *ret_type = (enum record_type)(unsigned char)plain[size];
    *ret_size = size;
    return OK;
}

enum status record_open(struct record_half *half, struct slice record, char *out, size_t *ret_size,
    enum record_type *ret_type)
{
    int size = (int)(record.size - RECORD_HEADER - RECORD_TAG), done = 0, end = 0, ignored;
    const unsigned char *data = (const unsigned char *)record.data;
    char tag[RECORD_TAG];
    memcpy(tag, record.data + RECORD_HEADER + size, sizeof tag);
    if (!begin(half) || !EVP_CipherUpdate(half->cipher, NULL, &ignored, data, RECORD_HEADER) ||
        !EVP_CipherUpdate(half->cipher, (unsigned char *)out, &done, data + RECORD_HEADER, size) ||
        !EVP_CIPHER_CTX_ctrl(half->cipher, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG, tag) ||
        EVP_CipherFinal_ex(half->cipher, (unsigned char *)out + done, &end) != 1)
        return INVALID;
    return take_type(out, (size_t)size, ret_size, ret_type);
}

bool record_seal_begin(struct record_half *half, size_t plain_size, char *out)
{
    size_t size = plain_size + 1 + RECORD_TAG;
    int ignored;
    out[0] = RECORD_DATA;
    out[1] = out[2] = 3;
    out[3] = (char)(size >> 8);
    out[4] = (char)size;
    return begin(half) &&
           EVP_CipherUpdate(half->cipher, NULL, &ignored, (unsigned char *)out, RECORD_HEADER);
}

bool record_seal_piece(struct record_half *half, struct slice piece, char *out)
{
    int done;
    return EVP_CipherUpdate(half->cipher, (unsigned char *)out, &done,
               (const unsigned char *)piece.data, (int)piece.size) == 1;
}

size_t record_seal_end(
    struct record_half *half, size_t plain_size, enum record_type type, char *out)
{
    char kind = (char)type;
    char *behind = out + RECORD_HEADER + plain_size;
    int done;
    if (!record_seal_piece(half, slice_of(&kind, 1), behind) ||
        !EVP_CipherFinal_ex(half->cipher, (unsigned char *)behind + 1, &done) ||
        !EVP_CIPHER_CTX_ctrl(half->cipher, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG, behind + 1))
        return 0;
    return plain_size + RECORD_EXTRA;
}
