#include "jose/keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "jose/jwk.h"
#include "jose/verifier.h"

struct jose_keys {
    atomic_size_t users;
    struct arena arena;     /* the keys and their texts */
    struct jose_key *first; /* in the arena */
    struct jose_key **last; /* where the next one goes */
    size_t count, skipped;
};

enum status jose_keys_new(struct jose_keys **ret_keys)
{
    struct jose_keys *keys = calloc(1, sizeof *keys);
    if (!keys)
        return NO_MEMORY;
    atomic_init(&keys->users, 1);
    arena_init(&keys->arena, 0, 0);
    keys->last = &keys->first;
    *ret_keys = keys;
    return OK;
}

struct jose_keys *jose_keys_ref(struct jose_keys *keys)
{
    atomic_fetch_add_explicit(&keys->users, 1, memory_order_relaxed);
    return keys;
}

static void release(struct jose_key *key)
{
    jose_verifiers_release(key->verifiers);
    EVP_PKEY_free(key->pair);
    if (key->secret.size > 0)
        OPENSSL_cleanse((void *)key->secret.data, key->secret.size);
}

void jose_keys_unref(struct jose_keys *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->users, 1, memory_order_acq_rel) > 1)
        return;
    for (struct jose_key *key = keys->first; key; key = (struct jose_key *)key->next)
        release(key);
    arena_release(&keys->arena);
    free(keys);
}

/* Takes `key` over, with copies of its texts; what it owns is released on failure. */
static enum status add(struct jose_keys *keys, struct jose_key key, const char **ret_why)
{
    struct jose_key *own = NULL;
    enum status e = OK;
    if (keys->count == JOSE_KEYS_MAX || key.id.size > JOSE_KEY_ID_MAX) {
        *ret_why = key.id.size > JOSE_KEY_ID_MAX ? "a key's name is too long" : "too many keys";
        e = TOO_LARGE;
    } else {
        own = arena_new(&keys->arena, struct jose_key);
        struct slice id = arena_copy(&keys->arena, key.id);
        struct slice secret = arena_copy(&keys->arena, key.secret);
        struct jose_verifiers *verifiers = arena_zalloc(&keys->arena, sizeof *verifiers);
        if (own && id.data && secret.data && verifiers)
            *own = (struct jose_key){NULL, id, key.algorithms, key.pair, secret, verifiers};
        else
            e = NO_MEMORY;
    }
    if (e) {
        EVP_PKEY_free(key.pair);
        return e;
    }
    *keys->last = own;
    keys->last = (struct jose_key **)&own->next;
    keys->count++;
    return OK;
}

static enum status add_jwk(struct jose_keys *keys, struct arena *scratch,
    const struct json_value *jwk, unsigned options, const char **ret_why)
{
    struct jose_key key;
    enum status e = jwk_read(scratch, jwk, options, &key, ret_why);
    return e ? e : add(keys, key, ret_why);
}

static enum status add_all(struct jose_keys *keys, struct arena *scratch,
    const struct json_value *list, unsigned options, const char **ret_why)
{
    size_t before = keys->count;
    if (list->type != JSON_ARRAY) {
        *ret_why = "\"keys\" is not an array";
        return INVALID;
    }
    json_each (item, list) {
        enum status e = add_jwk(keys, scratch, item, options, ret_why);
        if (e && e != INVALID)
            return e;
        keys->skipped += e == INVALID;
    }
    if (keys->count > before)
        return OK;
    if (list->count != 1) /* of a single one it is known what is wrong with it */
        *ret_why = "the set has no key that a signature can be verified with";
    return INVALID;
}

static enum status add_document(struct jose_keys *keys, struct arena *scratch, struct slice text,
    unsigned options, const char **ret_why)
{
    const struct json_limits limits = {.size = JOSE_SET_SIZE_MAX, .depth = 16};
    struct json_value *root;
    struct json_error error;
    enum status e = json_parse(scratch, text, &limits, &root, &error);
    if (e) {
        *ret_why = error.message;
        return e;
    }
    const struct json_value *list = json_get(root, SLICE("keys"));
    return list ? add_all(keys, scratch, list, options, ret_why)
                : add_jwk(keys, scratch, root, options, ret_why);
}

enum status jose_keys_add_json(
    struct jose_keys *keys, struct slice text, unsigned options, const char **ret_why)
{
    struct arena scratch;
    arena_init(&scratch, 0, 0);
    enum status e = add_document(keys, &scratch, text, options, ret_why);
    arena_release(&scratch);
    if (e == NO_MEMORY)
        *ret_why = "out of memory";
    return e;
}

static EVP_PKEY *read_pem(struct slice pem)
{
    BIO *bio = pem.size > JOSE_SET_SIZE_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *pair = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    if (bio && !pair && BIO_reset(bio) == 1) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        pair = certificate ? X509_get_pubkey(certificate) : NULL;
        X509_free(certificate);
    }
    BIO_free(bio);
    return pair;
}

enum status jose_keys_add_pem(
    struct jose_keys *keys, struct slice pem, struct slice id, const char **ret_why)
{
    struct jose_key key = {.id = id, .pair = read_pem(pem)};
    if (!key.pair) {
        *ret_why = "this is neither a public key nor a certificate in PEM";
        return INVALID;
    }
    key.algorithms = jwk_algorithms_of(key.pair, ret_why);
    if (!key.algorithms) {
        EVP_PKEY_free(key.pair);
        return INVALID;
    }
    return add(keys, key, ret_why);
}

enum status jose_keys_add_secret(
    struct jose_keys *keys, struct slice secret, struct slice id, const char **ret_why)
{
    struct jose_key key = {.id = id, .secret = secret};
    key.algorithms = jwk_algorithms_of_secret(secret.size);
    if (!key.algorithms) {
        *ret_why = JWK_SHORT_SECRET;
        return INVALID;
    }
    return add(keys, key, ret_why);
}

const struct jose_key *jose_keys_first(const struct jose_keys *keys)
{
    return keys->first;
}

size_t jose_keys_count(const struct jose_keys *keys)
{
    return keys->count;
}

size_t jose_keys_skipped(const struct jose_keys *keys)
{
    return keys->skipped;
}

static bool is_same(const struct jose_key *a, const struct jose_key *b)
{
    if (a->algorithms != b->algorithms || !slice_equal(a->id, b->id))
        return false;
    if (!a->pair || !b->pair)
        return !a->pair && !b->pair && a->secret.size == b->secret.size &&
               CRYPTO_memcmp(a->secret.data, b->secret.data, a->secret.size) == 0;
    return EVP_PKEY_eq(a->pair, b->pair) == 1;
}

bool jose_keys_cover(const struct jose_keys *keys, const struct jose_keys *others)
{
    for (const struct jose_key *other = others->first; other; other = other->next) {
        const struct jose_key *key = keys->first;
        while (key && !is_same(key, other))
            key = key->next;
        if (!key)
            return false;
    }
    return true;
}
