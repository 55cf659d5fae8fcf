#include "policy/login.h"

/* What a provider says of a user besides the ID token (OpenID Connect Core 1.0 §5.3). It is asked
 * once a login and once a renewal, and what it says is kept in the session.
 *
 * It is not signed, and comes by TLS from whom the issuer names: what the ID token says counts
 * more, and what makes a token a token is the ID token's alone. */

#define USERINFO_MAX ((size_t)32 << 10)

static bool is_token_s_own(struct slice name)
{
    static const char *const names[] = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce",
        "azp", "sid", "auth_time", "at_hash", "c_hash", "events", NULL};
    for (size_t i = 0; names[i]; i++)
        if (slice_equal(name, slice_of_text(names[i])))
            return true;
    return false;
}

/* What there is beyond the claims, as an object; empty when that is nothing. */
static enum status keep_more(struct arena *arena, const struct json_value *said,
    const struct json_value *claims, struct slice *ret_text)
{
    struct text text = text_growing(SEAL_SIZE_MAX);
    struct json_writer writer;
    size_t count = 0;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_each (member, said) {
        if (is_token_s_own(member->key) || json_get(claims, member->key))
            continue;
        json_write_key(&writer, member->key);
        json_write_value(&writer, member);
        count++;
    }
    json_write_object_end(&writer);
    bool is_done = json_writer_is_done(&writer);
    struct slice made = count && is_done ? arena_copy(arena, text_slice(&text)) : SLICE("");
    text_release(&text);
    if (!is_done || !made.data)
        return NO_MEMORY;
    *ret_text = made;
    return OK;
}

static enum status read(struct exchange *x, const struct inquiry_answer *answer,
    struct login_tokens *tokens, struct slice subject, const char **why)
{
    const struct json_limits limits = {.size = USERINFO_MAX, .depth = 16};
    struct json_value *said;
    *why = "its userinfo endpoint does not answer as it should";
    if (answer->status >= 500 || answer->status == 429)
        return LOGIN_UNAVAILABLE;
    if (answer->status != 200)
        return LOGIN_FAILED;
    enum status e = json_parse(&x->arena, answer->body, &limits, &said, NULL);
    if (e)
        return e == NO_MEMORY ? e : LOGIN_FAILED;
    *why = "its userinfo endpoint speaks of another user"; /* §5.3.2 */
    if (!subject.size || !slice_equal(json_text_of(said, "sub"), subject))
        return LOGIN_DENIED;
    return keep_more(&x->arena, said, tokens->claims, &tokens->userinfo);
}

enum status login_ask_userinfo(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, struct login_tokens *tokens,
    struct slice subject, const char **ret_why)
{
    struct fields fields;
    struct inquiry_answer answer;
    struct inquiry inquiry = {.fields = &fields, .body_max = USERINFO_MAX};
    if (!provider->userinfo)
        return OK;
    *ret_why = "it has no userinfo endpoint, or gives no access token for it";
    if (!found->userinfo_endpoint.size || !tokens->access_token.size)
        return LOGIN_FAILED;
    fields_init(&fields, &x->arena);
    struct slice value =
        arena_join(&x->arena, (const struct slice[]){SLICE("Bearer "), tokens->access_token}, 2);
    enum status e = value.data ? fields_add_made(&fields, FIELD_AUTHORIZATION, value) : NO_MEMORY;
    if (!e)
        e = fields_add_made(&fields, FIELD_ACCEPT, SLICE("application/json"));
    if (e)
        return e;
    *ret_why = "its userinfo endpoint does not answer";
    e = login_ask(login, provider, found->userinfo_endpoint, x, &inquiry, &answer);
    if (e)
        return e == CANCELLED || e == NO_MEMORY ? e : LOGIN_UNAVAILABLE;
    return read(x, &answer, tokens, subject, ret_why);
}

enum status login_add_userinfo(
    struct arena *arena, struct slice userinfo, const struct json_value **claims)
{
    struct json_value *more, *whole = arena_new(arena, struct json_value);
    enum status e = json_parse(arena, userinfo, NULL, &more, NULL);
    if (e || !whole)
        return !whole || e == NO_MEMORY ? NO_MEMORY : INVALID;
    if (more->type != JSON_OBJECT || !more->first)
        return INVALID;
    struct json_value *last = more->first;
    while (last->next)
        last = last->next;
    *whole = (struct json_value){
        .type = JSON_OBJECT, .count = more->count + (*claims)->count, .first = more->first};
    last->next = (*claims)->first; /* none is in both: only what they lacked was kept */
    *claims = whole;
    return OK;
}
