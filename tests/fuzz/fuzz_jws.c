/* Reads any bytes as a key set, a blank line, and a token; verifies the token with the keys and, if
 * it gets that far, its claims. Nothing that a token says may be believed without a key of ours. */
#include "base/must.h"
#include "jose/jws.h"
#include "jose/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_claims(struct arena *arena, struct slice payload)
{
    const struct json_value *claims;
    int64_t until = 0;
    const struct jwt_rules rules = {.leeway = 60, .age_max = 3600, .may_lack_expiry = true};
    if (jwt_read(arena, payload, &claims) || jwt_check(claims, &rules, 1000000, &until))
        return;
    must(until > 1000000);
}

static void check_token(struct arena *arena, struct slice token, const struct jose_keys *keys)
{
    struct jws jws;
    enum status e = jws_read(arena, token, &jws);
    must(e == OK || e == TOKEN_MALFORMED || e == TOKEN_ALGORITHM);
    if (e)
        return;
    must(jws.algorithm < JOSE_ALGORITHM_COUNT && jws.input.size < token.size);
    e = jws_verify(&jws, keys);
    must(e == OK || e == TOKEN_KEY || e == TOKEN_ALGORITHM || e == TOKEN_SIGNATURE);
    must(jose_keys_count(keys) > 0 || e == TOKEN_KEY);
    check_claims(arena, jws.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size);
    size_t cut = slice_find_slice(text, SLICE("\n\n"));
    struct jose_keys *keys;
    struct arena arena;
    const char *why = NULL;
    must(!jose_keys_new(&keys));
    arena_init(&arena, 0, 0);
    enum status e = jose_keys_add_json(keys, slice_head(text, cut), JOSE_PUBLIC_ONLY, &why);
    must(e == OK || why);
    check_token(&arena, slice_from(text, cut + 2), keys);
    arena_release(&arena);
    jose_keys_unref(keys);
    return 0;
}
