#include "policy/signature_keys.h"

#include <openssl/evp.h>

struct slice signature_algorithm_name(enum jose_algorithm algorithm)
{
    static const struct slice names[JOSE_ALGORITHM_COUNT] = {
        [JOSE_HS256] = SLICE_INIT("hmac-sha256"),
        [JOSE_RS256] = SLICE_INIT("rsa-v1_5-sha256"),
        [JOSE_PS512] = SLICE_INIT("rsa-pss-sha512"),
        [JOSE_ES256] = SLICE_INIT("ecdsa-p256-sha256"),
        [JOSE_ES384] = SLICE_INIT("ecdsa-p384-sha384"),
        [JOSE_EDDSA] = SLICE_INIT("ed25519"),
    };
    return names[algorithm];
}

/* A key that could be for two algorithms would let the signature choose. */
static bool find_algorithm(const struct jose_key *key, enum jose_algorithm *ret_algorithm)
{
    unsigned found = 0;
    if (key->pair && EVP_PKEY_is_a(key->pair, "ED448"))
        return false;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++)
        if (key->algorithms >> i & 1 && signature_algorithm_name((enum jose_algorithm)i).size) {
            *ret_algorithm = (enum jose_algorithm)i;
            found++;
        }
    return found == 1;
}

/* "claims" of the key, with "sub" if it has none. */
static enum status read_claims(struct arena *arena, const struct json_value *jwk, struct slice id,
    const struct json_value **ret_claims)
{
    const struct json_value *claims = json_get(jwk, SLICE("claims"));
    struct json_value *root;
    struct json_writer writer;
    struct text text = text_growing(0);
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    if (!json_get(claims, SLICE("sub")))
        json_put_text(&writer, "sub", id);
    json_each (claim, claims) {
        json_write_key(&writer, claim->key);
        json_write_value(&writer, claim);
    }
    json_write_object_end(&writer);
    struct slice copy = text.failed ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    if (!copy.data || json_parse(arena, copy, NULL, &root, NULL))
        return NO_MEMORY;
    *ret_claims = root;
    return OK;
}

static const struct json_value *find_jwk(const struct json_value *root, struct slice id)
{
    struct slice name;
    const struct json_value *list = json_get(root, SLICE("keys"));
    json_each (jwk, list)
        if (json_get_text(jwk, SLICE("kid"), &name) && slice_equal(name, id))
            return jwk;
    return NULL;
}

static enum status add(struct arena *arena, const struct json_value *root,
    const struct jose_key *from, struct signature_keys *keys, const char **ret_why)
{
    struct signature_key *key = &keys->items[keys->count];
    const struct json_value *jwk = find_jwk(root, from->id);
    const struct json_value *claims = json_get(jwk, SLICE("claims"));
    key->id = from->id;
    *ret_why = "each key needs a \"kid\" of its own";
    if (!from->id.size || !jwk || signature_keys_find(keys, from->id))
        return INVALID;
    *ret_why = "the \"claims\" of a key are an object";
    if (claims && claims->type != JSON_OBJECT)
        return INVALID;
    *ret_why = "a key has to say by its \"alg\" which one it is for: HS256, ES256, ES384, EdDSA "
               "(Ed25519), RS256 or PS512";
    if (!find_algorithm(from, &key->algorithm))
        return INVALID;
    keys->count++;
    return read_claims(arena, jwk, from->id, &key->claims);
}

static enum status add_all(struct arena *arena, const struct json_value *root,
    struct signature_keys *keys, const char **ret_why)
{
    enum status e = OK;
    *ret_why = "a key is malformed, of an unknown kind, or too weak";
    if (jose_keys_skipped(keys->set))
        return INVALID;
    *ret_why = "it is a JWK Set: {\"keys\": [...]}, with a key at least";
    if (!json_get(root, SLICE("keys")) || !jose_keys_count(keys->set))
        return INVALID;
    keys->items = arena_array(arena, jose_keys_count(keys->set), sizeof *keys->items);
    if (!keys->items)
        return NO_MEMORY;
    for (const struct jose_key *key = jose_keys_first(keys->set); key && !e; key = key->next)
        e = add(arena, root, key, keys, ret_why);
    return e;
}

enum status signature_keys_read(
    struct arena *arena, struct slice text, struct signature_keys *ret_keys, const char **ret_why)
{
    struct signature_keys keys = {NULL, NULL, 0};
    struct json_value *root;
    enum status e = jose_keys_new(&keys.set);
    if (!e)
        e = jose_keys_add_json(keys.set, text, 0, ret_why);
    if (!e)
        e = json_parse(arena, text, NULL, &root, NULL);
    if (!e)
        e = add_all(arena, root, &keys, ret_why);
    if (e)
        signature_keys_release(&keys);
    else
        *ret_keys = keys;
    return e == OK || e == NO_MEMORY ? e : INVALID;
}

void signature_keys_release(struct signature_keys *keys)
{
    jose_keys_unref(keys->set);
    *keys = (struct signature_keys){NULL, NULL, 0};
}

const struct signature_key *signature_keys_find(const struct signature_keys *keys, struct slice id)
{
    if (!id.size)
        return keys->count == 1 ? keys->items : NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (slice_equal(keys->items[i].id, id))
            return &keys->items[i];
    return NULL;
}
