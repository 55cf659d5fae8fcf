#include "policy/login.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base64.h"

#define LEEWAY          60 /* seconds that the provider's clock may be off */
#define TOKEN_BODY_MAX  ((size_t)64 << 10)
#define EXPIRES_IN_MOST (30 * (DAY / SECOND))
#define AHEAD_MOST      60

/* --- the ID token (OpenID Connect Core 1.0 §3.1.3.7) */

/* §3.1.3.6: the left half of the access token's digest, by the digest of the signature. */
static bool is_hash_of(struct slice hash, struct slice access, enum jose_algorithm algorithm)
{
    const struct jose_algorithm_facts *facts = jose_algorithm_facts(algorithm);
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[EVP_MAX_MD_SIZE * 2];
    unsigned size = 0;
    const EVP_MD *kind = EVP_get_digestbyname(facts->digest ? facts->digest : "SHA512");
    if (!kind || !EVP_Digest(access.data, access.size, digest, &size, kind, NULL))
        return false;
    struct slice half = slice_of((const char *)digest, size / 2);
    struct slice wanted = slice_of(text, base64_encode(half, BASE64_URL | BASE64_UNPADDED, text));
    return slice_equal(hash, wanted);
}

/* Steps 3 to 5: whom it is for, and nobody else. */
static bool is_for(const struct json_value *claims, struct slice client)
{
    const struct json_value *audience = json_get(claims, SLICE("aud")),
                            *party = json_get(claims, SLICE("azp"));
    if (party)
        return party->type == JSON_STRING && slice_equal(party->text, client);
    return !audience || audience->type != JSON_ARRAY || audience->count == 1;
}

static enum status check_claims(const struct login_provider *provider,
    const struct json_value *claims, const struct jws *jws, struct slice access)
{
    static const struct slice required[] = {SLICE_INIT("iss"), SLICE_INIT("sub"), SLICE_INIT("aud"),
        SLICE_INIT("exp"), SLICE_INIT("iat")};
    const struct jwt_rules rules = {.issuers = {&provider->issuer, 1},
        .audiences = {&provider->client.id, 1},
        .required = {required, sizeof required / sizeof *required},
        .leeway = LEEWAY};
    const struct json_value *hash = json_get(claims, SLICE("at_hash"));
    struct slice subject;
    int64_t until;
    enum status e = jwt_check(claims, &rules, login_now(), &until);
    if (!e && (!json_get_text(claims, SLICE("sub"), &subject) || !subject.size))
        e = TOKEN_CLAIM;
    if (!e && !is_for(claims, provider->client.id))
        e = TOKEN_AUDIENCE;
    if (!e && hash && access.size &&
        (hash->type != JSON_STRING || !is_hash_of(hash->text, access, jws->algorithm)))
        e = TOKEN_CLAIM;
    return e;
}

/* Never by what the token says: which keys there are decides, and each is for its algorithms
 * alone. A secret is one for HS256 only, since that is what clients are registered for. */
enum status login_verify(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct jws *jws)
{
    if (!provider->secret)
        return keyring_verify(provider->remote.ring, x, jws, login->timeout);
    return jws->algorithm == JOSE_HS256 ? jws_verify(jws, provider->secret) : TOKEN_ALGORITHM;
}

static enum status verify(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct slice text, struct slice access,
    const struct json_value **ret_claims)
{
    const struct json_value *claims;
    struct jws jws;
    enum status e = jws_read(&x->arena, text, &jws);
    if (!e)
        e = login_verify(login, provider, x, &jws);
    if (!e)
        e = jwt_read(&x->arena, jws.payload, &claims);
    if (!e)
        e = check_claims(provider, claims, &jws, access);
    if (!e)
        *ret_claims = claims;
    return e;
}

/* --- the token endpoint */

/* RFC 6749 §5.2 */
static enum status read_refusal(
    const struct inquiry_answer *answer, struct arena *arena, const char **why)
{
    struct json_value *root = NULL;
    struct slice error = SLICE_NONE;
    *why = "its token endpoint fails";
    if (answer->status >= 500 || answer->status == 429)
        return LOGIN_UNAVAILABLE;
    if (json_parse(arena, answer->body, NULL, &root, NULL) == NO_MEMORY)
        return NO_MEMORY;
    (void)json_get_text(root, SLICE("error"), &error);
    *why = "its token endpoint calls the grant invalid";
    if (slice_equal(error, SLICE("invalid_grant")))
        return LOGIN_DENIED;
    *why = "its token endpoint does not accept the gateway's request";
    if (slice_equal(error, SLICE("invalid_client")))
        *why = "its token endpoint does not know the client, or its secret";
    return LOGIN_FAILED;
}

static const char *trouble_of(enum status e)
{
    switch ((int)e) {
    case TOKEN_SIGNATURE:
    case TOKEN_KEY:
    case TOKEN_ALGORITHM:
        return "its ID token is not signed with a key of its own";
    case TOKEN_ISSUER:
        return "its ID token is of another issuer";
    case TOKEN_AUDIENCE:
        return "its ID token is for another client";
    case TOKEN_EXPIRED:
    case TOKEN_NOT_YET_VALID:
        return "its ID token is not of this time";
    case TOKEN_CLAIM:
        return "its ID token lacks a claim, or has a wrong one";
    default:
        return "its ID token is malformed";
    }
}

/* They are to be renewed somewhat before they end, so that hardly anybody has to wait. */
static void set_times(
    const struct login *login, const struct json_value *root, struct login_tokens *tokens)
{
    int64_t now = login_now(), lasts = json_number_of(root, "expires_in"),
            own = json_number_of(tokens->claims, "exp") - now;
    if (lasts <= 0 || (login->bearer == LOGIN_BEARER_ID && tokens->claims))
        lasts = own;
    if (lasts <= 0)
        return;
    if (lasts > EXPIRES_IN_MOST)
        lasts = EXPIRES_IN_MOST;
    int64_t ahead = lasts / 5 < AHEAD_MOST ? lasts / 5 : AHEAD_MOST;
    tokens->fresh = now + lasts;
    tokens->due = tokens->fresh - ahead;
}

static enum status read_tokens(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct slice body, struct login_tokens *tokens, const char **why)
{
    struct json_value *root;
    struct slice access = SLICE_NONE;
    *why = "its token endpoint's answer is malformed";
    enum status e = json_parse(&x->arena, body, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY ? e : LOGIN_FAILED;
    (void)json_get_text(root, SLICE("access_token"), &access); /* as it is, for its digest */
    (void)oauth_access_token(root, &tokens->access_token);
    (void)json_get_text(root, SLICE("id_token"), &tokens->id_token);
    (void)json_get_text(root, SLICE("refresh_token"), &tokens->refresh_token);
    if (tokens->id_token.size)
        e = verify(login, provider, x, tokens->id_token, access, &tokens->claims);
    set_times(login, root, tokens);
    *why = trouble_of(e);
    if (e == KEYS_UNAVAILABLE)
        return LOGIN_UNAVAILABLE;
    return e && e != NO_MEMORY && e != CANCELLED ? LOGIN_FAILED : e;
}

static enum oauth_client_method method_of(
    const struct login_provider *provider, const struct oidc_provider *found)
{
    switch ((enum login_client_auth)provider->client_auth) {
    case LOGIN_CLIENT_BASIC:
        return OAUTH_CLIENT_BASIC;
    case LOGIN_CLIENT_POST:
        return OAUTH_CLIENT_POST;
    case LOGIN_CLIENT_KEY:
        return OAUTH_CLIENT_KEY;
    case LOGIN_CLIENT_NONE:
        return OAUTH_CLIENT_NONE;
    case LOGIN_CLIENT_AUTO:
        break;
    }
    if (provider->client.key)
        return OAUTH_CLIENT_KEY;
    if (!provider->client.secret.size)
        return OAUTH_CLIENT_NONE;
    return found->wants_posted_secret ? OAUTH_CLIENT_POST : OAUTH_CLIENT_BASIC;
}

/* At the endpoint that the file names, or the provider. */
static enum status ask(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, struct text *form,
    struct inquiry_answer *answer)
{
    struct fields fields;
    struct inquiry inquiry = {.fields = &fields,
        .type = SLICE("application/x-www-form-urlencoded"),
        .timeout = login->timeout,
        .body_max = TOKEN_BODY_MAX};
    fields_init(&fields, &x->arena);
    enum status e = fields_add_made(&fields, FIELD_ACCEPT, SLICE("application/json"));
    if (!e)
        e = oauth_client_show(
            &provider->client, method_of(provider, found), found->token_endpoint, &fields, form);
    inquiry.body = text_slice(form);
    if (e || form->failed)
        return NO_MEMORY;
    return provider->token.text.size
               ? inquiry_ask(&provider->token, x, &inquiry, &x->arena, answer)
               : login_ask(login, provider, found->token_endpoint, x, &inquiry, answer);
}

enum status login_ask_tokens(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, struct text *form,
    struct login_tokens *ret_tokens, const char **ret_why)
{
    struct inquiry_answer answer;
    struct login_tokens tokens = {.fresh = 0};
    enum status e = ask(login, provider, found, x, form, &answer);
    *ret_why = "its token endpoint does not answer";
    if (e)
        return e == CANCELLED || e == NO_MEMORY ? e : LOGIN_UNAVAILABLE;
    if (answer.status != 200)
        return read_refusal(&answer, &x->arena, ret_why);
    e = read_tokens(login, provider, x, answer.body, &tokens, ret_why);
    if (!e)
        *ret_tokens = tokens;
    return e;
}
