#include "policy/login.h"

#include "http/uri.h"

/* The provider says that a session has ended (OpenID Connect Back-Channel Logout 1.0 §2.5 to
 * §2.8). */

#define LOGOUT_EVENT SLICE("http://schemas.openid.net/event/backchannel-logout")
#define AGE_MAX      600 /* seconds since it was made */
#define LEEWAY       60
#define MEMORY       ((AGE_MAX + 2 * LEEWAY) * SECOND) /* of tokens that could still be good */

static enum status read_token(struct exchange *x, struct slice *ret_token)
{
    struct slice form;
    enum status e = login_read_form(x, &form);
    if (e)
        return e;
    *ret_token = uri_query_value(&x->arena, form, SLICE("logout_token"));
    return ret_token->size ? OK : TOKEN_MALFORMED;
}

/* An ID token is none, however it came here. */
static bool is_logout_type(struct slice type)
{
    return !type.size || slice_equal_nocase(type, SLICE("JWT")) ||
           slice_equal_nocase(type, SLICE("logout+jwt")) ||
           slice_equal_nocase(type, SLICE("application/logout+jwt"));
}

static enum status check_claims(
    const struct login_provider *provider, const struct json_value *claims)
{
    static const struct slice required[] = {SLICE_INIT("iss"), SLICE_INIT("aud"), SLICE_INIT("iat"),
        SLICE_INIT("jti"), SLICE_INIT("events")};
    const struct jwt_rules rules = {.issuers = {&provider->issuer, 1},
        .audiences = {&provider->client.id, 1},
        .required = {required, sizeof required / sizeof *required},
        .leeway = LEEWAY,
        .age_max = AGE_MAX,
        .may_lack_expiry = true}; /* as older providers do */
    const struct json_value *event = json_get(json_get(claims, SLICE("events")), LOGOUT_EVENT);
    int64_t until;
    enum status e = jwt_check(claims, &rules, login_now(), &until);
    if (e)
        return e;
    bool is_good = event && event->type == JSON_OBJECT && !json_get(claims, SLICE("nonce"));
    return is_good ? OK : TOKEN_CLAIM;
}

static enum status verify(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct slice token, const struct json_value **ret_claims)
{
    struct jws jws;
    enum status e = jws_read(&x->arena, token, &jws);
    if (!e && !is_logout_type(jws.type))
        e = TOKEN_MALFORMED;
    if (!e)
        e = login_verify(login, provider, x, &jws);
    if (!e)
        e = jwt_read(&x->arena, jws.payload, ret_claims);
    return e ? e : check_claims(provider, *ret_claims);
}

/* One session, or all of a user's. */
static enum status end(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct json_value *claims)
{
    struct slice sid = json_text_of(claims, "sid"), sub = json_text_of(claims, "sub");
    if (!sid.size && !sub.size)
        return TOKEN_CLAIM;
    return sid.size ? login_end(login, provider, x, "sid", sid)
                    : login_end(login, provider, x, "sub", sub);
}

/* A token that comes again is to end nothing that has begun since (§2.6). It counts as heard when
 * all has been done, so that the provider can try again where that failed. */
static enum status end_once(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct json_value *claims)
{
    struct slice ignored,
        key = login_note_key(login, &x->arena, "jti", provider->name, json_text_of(claims, "jti"));
    if (!key.data)
        return NO_MEMORY;
    enum status e = login_note_read(login, login->archive, x, key, &ignored);
    if (e != NOT_FOUND)
        return e ? e : TOKEN_CLAIM;
    e = end(login, provider, x, claims);
    return e ? e : login_note_write(login, login->archive, x, key, SLICE("heard"), MEMORY);
}

static enum status answer(struct exchange *x, int status, struct slice type, struct slice body)
{
    enum status e = exchange_respond(x, status, type, body);
    return e ? e : fields_add_made(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
}

enum status login_hear_logout(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    const struct json_value *claims;
    struct slice token = SLICE_NONE;
    enum status e = read_token(x, &token);
    if (!e)
        e = verify(login, provider, x, token, &claims);
    if (!e)
        e = end_once(login, provider, x, claims);
    if (e && status_http(e) != 401) /* whoever has sent it may try again */
        return e;
    login_count(login, x, e ? LOGIN_LOGOUT_REFUSED : LOGIN_LOGGED_OUT_BY_PROVIDER);
    if (!e)
        return answer(x, 200, SLICE(""), SLICE(""));
    enum status reason = e;
    e = answer(x, 400, SLICE("application/json"), SLICE("{\"error\":\"invalid_request\"}"));
    x->facts.reason = reason;
    return e;
}
