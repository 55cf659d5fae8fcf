#include "policy/jwt_keys.h"

static enum status complain(struct prepare *prepare, struct place place, const char *why)
{
    return diagnostics_error(
        prepare->reader->diagnostics, place, SLICE_NONE, "these keys cannot be used: %s", why);
}

static bool is_inline(struct slice keys)
{
    return slice_has_prefix(keys, SLICE("{")) || slice_has_prefix(keys, SLICE("-----BEGIN "));
}

/* The text itself, or the file's. */
static enum status read_text(struct prepare *prepare, const struct jwt_keys *keys,
    struct arena *scratch, struct slice *ret_text)
{
    const struct source *source;
    *ret_text = slice_trim(keys->keys);
    if (is_inline(*ret_text)) /* of a key that is a secret, too */
        return diagnostics_hide(prepare->reader->diagnostics, keys->keys_place);
    struct slice path = source_path(scratch, keys->keys_place.source, keys->keys);
    enum status e = path.data ? source_read(scratch, path, JOSE_SET_SIZE_MAX, &source) : NO_MEMORY;
    if (e == NO_MEMORY)
        return e;
    if (e)
        return diagnostics_error(prepare->reader->diagnostics, keys->keys_place, SLICE_NONE,
            "the file \"%.*s\" cannot be read: %s", SLICE_ARG(slice_head(keys->keys, 200)),
            status_sentence(e));
    *ret_text = slice_trim(source->text);
    return OK;
}

static enum status add_keys(
    struct prepare *prepare, const struct jwt_keys *keys, struct arena *scratch)
{
    const char *why = NULL;
    struct slice text;
    enum status e = read_text(prepare, keys, scratch, &text);
    if (e)
        return e;
    e = slice_has_prefix(text, SLICE("-----BEGIN "))
            ? jose_keys_add_pem(keys->local, text, SLICE_NONE, &why)
            : jose_keys_add_json(keys->local, text, 0, &why);
    return e && e != NO_MEMORY ? complain(prepare, keys->keys_place, why) : e;
}

static enum status add_secret(struct prepare *prepare, const struct jwt_keys *keys)
{
    const char *why = NULL;
    enum status e = jose_keys_add_secret(keys->local, keys->secret, SLICE_NONE, &why);
    return e && e != NO_MEMORY ? complain(prepare, keys->secret_place, why) : e;
}

static void release_keys(void *keys)
{
    jose_keys_unref(keys);
}

/* Keys that somebody else keeps, at a URL that is known or is to be found. */
static enum status prepare_remote(
    struct prepare *prepare, struct jwt_keys *keys, const struct slice *issuer)
{
    keys->remote.issuer = *issuer;
    keys->remote.keys = keys->keys;
    keys->remote.place = keys->keys.size ? keys->keys_place : prepare->place;
    return keyring_obtain(prepare, &keys->remote, &keys->ring);
}

static enum status prepare_local(struct prepare *prepare, struct jwt_keys *keys)
{
    struct arena scratch;
    enum status e = jose_keys_new(&keys->local);
    if (e)
        return e;
    if (arena_own(prepare->reader->arena, release_keys, keys->local))
        return NO_MEMORY;
    arena_init(&scratch, 0, 0);
    if (keys->keys.size && !keyring_is_url(keys->keys))
        e = add_keys(prepare, keys, &scratch);
    if (!e && keys->secret.size)
        e = add_secret(prepare, keys);
    arena_release(&scratch);
    return e;
}

enum status jwt_keys_prepare(
    struct prepare *prepare, struct jwt_keys *keys, const struct option_list *issuers)
{
    const struct slice *names = issuers->items;
    bool is_found = !keys->keys.size && !keys->secret.size;
    if (is_found && !keyring_is_url(names[0]))
        return diagnostics_error(prepare->reader->diagnostics, prepare->place,
            SLICE("add `keys: keys.json`, or name the issuer by its URL"),
            "a token is verified with `keys` or a `secret`");
    if (is_found && issuers->count > 1)
        return diagnostics_error(prepare->reader->diagnostics, prepare->place,
            SLICE("write `jwt: [{issuer: …}, {issuer: …}]`, or say where the `keys` are"),
            "the keys of one issuer can be found by discovery, not those of several");
    enum status e = prepare_local(prepare, keys);
    if (!e && (is_found || keyring_is_url(keys->keys)))
        e = prepare_remote(prepare, keys, &names[0]);
    return e;
}

/* What is fetched from where anybody can read it holds no secrets, so these are local. */
enum status jwt_keys_verify(const struct jwt_keys *keys, struct exchange *x, const struct jws *jws)
{
    bool is_secret = jose_algorithm_facts(jws->algorithm)->family == JOSE_BY_HMAC;
    if (!keys->ring || (is_secret && keys->secret.size))
        return jws_verify(jws, keys->local);
    return is_secret ? TOKEN_ALGORITHM : keyring_verify(keys->ring, x, jws, keys->remote.patience);
}
