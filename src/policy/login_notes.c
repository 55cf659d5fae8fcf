#include "policy/login.h"

#include <openssl/evp.h>

#include "base/base64.h"

/* What gateways have to agree about, as notes in a store. Whoever makes one makes it in this
 * gateway's own memory, too: while the shared store does not answer, that is what is left, unless
 * the file says that nobody is to be let in then. */

struct slice login_note_key(const struct login *login, struct arena *arena, const char *kind,
    struct slice owner, struct slice name)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[EVP_MAX_MD_SIZE * 2];
    unsigned size = 0;
    struct slice whole = arena_format(arena, "%.*s\n%s\n%.*s\n%.*s", SLICE_ARG(login->name), kind,
        SLICE_ARG(owner), SLICE_ARG(name));
    if (!whole.data || !EVP_Digest(whole.data, whole.size, digest, &size, EVP_sha256(), NULL))
        return SLICE_NONE;
    size_t length =
        base64_encode(slice_of((const char *)digest, size), BASE64_URL | BASE64_UNPADDED, text);
    return arena_format(arena, "login:%s:%.*s", kind, (int)length, text);
}

/* What is to be done when a store has failed: OK: ask this gateway's own. */
static enum status fall_back(const struct login *login, const struct store *store, enum status e)
{
    if (e == CANCELLED || e == NO_MEMORY)
        return e;
    return login->if_unavailable == LOGIN_LOCAL && store != login->memory ? OK : STORE_UNAVAILABLE;
}

enum status login_note_read(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice *ret_value)
{
    enum status e = store_get(store, x->worker, key, x->deadline, &x->arena, ret_value);
    if (e == OK || e == NOT_FOUND)
        return e;
    e = fall_back(login, store, e);
    return e ? e : store_get(login->memory, x->worker, key, x->deadline, &x->arena, ret_value);
}

enum status login_note_write(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice value, int64_t ttl)
{
    enum status e = store_set(login->memory, x->worker, key, value, ttl, x->deadline);
    if (store != login->memory)
        e = store_set(store, x->worker, key, value, ttl, x->deadline);
    return e == OK || e == CANCELLED || e == NO_MEMORY ? e : STORE_UNAVAILABLE;
}

enum status login_note_claim(const struct login *login, struct store *store, struct exchange *x,
    struct slice key, struct slice value, int64_t ttl, struct slice *ret_there)
{
    enum status e = store_add(store, x->worker, key, value, ttl, x->deadline, &x->arena, ret_there);
    if (e == OK || e == CONFLICT)
        return e;
    e = fall_back(login, store, e);
    return e ? e
             : store_add(
                   login->memory, x->worker, key, value, ttl, x->deadline, &x->arena, ret_there);
}
