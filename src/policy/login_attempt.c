#include "policy/login.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/base64.h"
#include "base/random.h"
#include "http/uri.h"

/* One attempt to log in. What the gateway has to know when the browser comes back, it seals into a
 * cookie of a few minutes, so that nobody else's browser can come back with it: `state` ties the
 * answer to this browser, `nonce` the ID token, and the verifier the code (RFC 9700 §2.1, §4.7).
 *
 * Several tabs can log in at a time: there are a few cookies, and `state` begins with the number of
 * its own. */

#define ATTEMPTS     4
#define ATTEMPT_LIFE 600 /* seconds */
#define RANDOM_SIZE  32  /* bytes: 43 characters, which is what RFC 7636 §4.1 wants at least */
#define RANDOM_TEXT  43

struct attempt {
    struct slice state, nonce, verifier;
    struct slice provider;
    struct slice place; /* where the browser comes back to: the redirect URI */
    struct slice to;    /* where it wants to go then */
    int64_t until;      /* seconds since 1970 */
};

/* What the browser brings back (RFC 6749 §4.1.2); empty: it is not there. */
struct answer {
    struct slice state, code, error;
    struct slice issuer; /* RFC 9207; null data: it is not there */
};

/* --- the cookies */

/* The cookie of that number; null data without memory. What comes by a form comes from another
 * site, and no browser would send a cookie with it that is not for that. */
static struct split_cookie cookie_of(const struct login *login,
    const struct login_provider *provider, struct arena *arena, unsigned number)
{
    struct slice name =
        arena_format(arena, "%.*s.login%u", SLICE_ARG(login->cookie.name), number % ATTEMPTS);
    return (struct split_cookie){name,
        provider->response_mode == LOGIN_BY_FORM ? login->attributes_elsewhere : login->attributes};
}

/* The first that the browser has not, or any. */
static unsigned pick_number(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    unsigned char any;
    struct slice ignored;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        struct split_cookie cookie = cookie_of(login, provider, &x->arena, i);
        if (split_cookie_value(&cookie, &x->request.fields, &x->arena, &ignored) == NOT_FOUND)
            return i;
    }
    random_bytes(&any, 1);
    return any % ATTEMPTS;
}

static enum status give(const struct login *login, struct exchange *x,
    const struct attempt *attempt, const struct split_cookie *cookie)
{
    struct text text = text_growing(SEAL_SIZE_MAX);
    struct json_writer writer;
    struct slice sealed;
    json_writer_init(&writer, &text, 0);
    json_write_object(&writer);
    json_put_text(&writer, "s", attempt->state);
    json_put_text(&writer, "n", attempt->nonce);
    json_put_text(&writer, "v", attempt->verifier);
    json_put_text(&writer, "p", attempt->provider);
    json_put_text(&writer, "r", attempt->place);
    json_put_text(&writer, "t", attempt->to);
    json_put_i64(&writer, "u", attempt->until);
    json_write_object_end(&writer);
    enum status e = json_writer_is_done(&writer)
                        ? seal(login->attempts, &x->arena, text_slice(&text), &sealed)
                        : NO_MEMORY;
    text_release(&text);
    return e ? e
             : split_cookie_set(
                   cookie, &x->request.fields, sealed, ATTEMPT_LIFE, &x->response.fields);
}

/* INVALID: it is none of ours, or was for another state, or is too old. */
static enum status take(const struct login *login, struct exchange *x,
    const struct split_cookie *cookie, struct slice state, struct attempt *ret_attempt)
{
    struct attempt attempt;
    struct slice text, bytes = SLICE_NONE;
    struct json_value *root;
    enum status e = split_cookie_value(cookie, &x->request.fields, &x->arena, &text);
    if (!e)
        e = unseal(login->attempts, &x->arena, text, &bytes);
    if (!e)
        e = json_parse(&x->arena, bytes, NULL, &root, NULL);
    if (e)
        return e == NO_MEMORY || e == INTERNAL ? e : INVALID;
    if (!json_get_text(root, SLICE("s"), &attempt.state) ||
        !json_get_text(root, SLICE("n"), &attempt.nonce) ||
        !json_get_text(root, SLICE("v"), &attempt.verifier) ||
        !json_get_text(root, SLICE("p"), &attempt.provider) ||
        !json_get_text(root, SLICE("r"), &attempt.place) ||
        !json_get_text(root, SLICE("t"), &attempt.to) ||
        !json_get_i64(root, SLICE("u"), &attempt.until) || login_now() >= attempt.until ||
        attempt.state.size != state.size ||
        CRYPTO_memcmp(attempt.state.data, state.data, state.size) != 0)
        return INVALID;
    *ret_attempt = attempt;
    return OK;
}

/* --- to the provider */

/* Random text, behind a digit if there is one. */
static enum status draw(struct arena *arena, const char *digit, struct slice *ret_text)
{
    char bytes[RANDOM_SIZE], text[RANDOM_TEXT + 3];
    random_bytes(bytes, sizeof bytes);
    size_t size = base64_encode(slice_of(bytes, sizeof bytes), BASE64_URL | BASE64_UNPADDED, text);
    *ret_text = arena_format(arena, "%s%.*s", digit, (int)size, text);
    return ret_text->data ? OK : NO_MEMORY;
}

static enum status make(const struct login *login, const struct login_provider *provider,
    struct exchange *x, unsigned number, struct attempt *attempt)
{
    const char digit[] = {(char)('0' + number), 0};
    struct slice origin = login_origin(login, x);
    enum status e = origin.data ? draw(&x->arena, digit, &attempt->state) : NO_MEMORY;
    if (!e)
        e = draw(&x->arena, "", &attempt->nonce);
    if (!e)
        e = draw(&x->arena, "", &attempt->verifier);
    if (e)
        return e;
    attempt->provider = provider->name;
    attempt->until = login_now() + ATTEMPT_LIFE;
    attempt->place = arena_format(&x->arena, "%.*s%.*s/callback%.*s", SLICE_ARG(origin),
        SLICE_ARG(login->path), SLICE_ARG(provider->step));
    return attempt->place.data ? OK : NO_MEMORY;
}

/* RFC 7636 §4.2: S256. */
static struct slice challenge_of(struct arena *arena, struct slice verifier)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char *text = arena_bytes(arena, base64_encoded_size(sizeof digest));
    if (!text || !EVP_Digest(verifier.data, verifier.size, digest, &size, EVP_sha256(), NULL))
        return SLICE_NONE;
    return slice_of(text,
        base64_encode(slice_of((const char *)digest, size), BASE64_URL | BASE64_UNPADDED, text));
}

static struct slice request_of(const struct login_provider *provider,
    const struct oidc_provider *found, const struct attempt *attempt, struct arena *arena)
{
    struct slice endpoint = found->authorization_endpoint,
                 place = uri_encode(arena, attempt->place),
                 challenge = challenge_of(arena, attempt->verifier);
    bool has_query = slice_find(endpoint, '?') < endpoint.size;
    if (!place.data || !challenge.data)
        return SLICE_NONE;
    return arena_format(arena,
        "%.*s%s%.*s&redirect_uri=%.*s&state=%.*s&nonce=%.*s&code_challenge=%.*s",
        SLICE_ARG(endpoint), has_query ? "&" : "?", SLICE_ARG(provider->query), SLICE_ARG(place),
        SLICE_ARG(attempt->state), SLICE_ARG(attempt->nonce), SLICE_ARG(challenge));
}

enum status login_begin(const struct login *login, const struct login_provider *provider,
    struct exchange *x, struct slice to)
{
    unsigned number = pick_number(login, provider, x);
    struct attempt attempt = {.to = to};
    struct oidc_provider found;
    enum status e = login_discover(login, provider, x, &found);
    if (e == LOGIN_UNAVAILABLE)
        login_count(login, x, LOGIN_UNANSWERED);
    if (!e)
        e = make(login, provider, x, number, &attempt);
    if (e)
        return e;
    struct split_cookie cookie = cookie_of(login, provider, &x->arena, number);
    struct slice request = request_of(provider, &found, &attempt, &x->arena);
    e = cookie.name.data && request.data ? login_redirect(x, 302, request) : NO_MEMORY;
    if (!e)
        e = give(login, x, &attempt, &cookie);
    if (!e)
        login_count(login, x, LOGIN_BEGUN);
    return e;
}

/* --- and back */

/* What providers may say (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6): none of their words
 * but these is shown to anybody. */
static const char *const refusals[] = {"access_denied", "invalid_request", "unauthorized_client",
    "unsupported_response_type", "invalid_scope", "server_error", "temporarily_unavailable",
    "interaction_required", "login_required", "account_selection_required", "consent_required",
    "invalid_request_uri", "invalid_request_object", "request_not_supported",
    "request_uri_not_supported", "registration_not_supported", NULL};

static enum status tell_refusal(const struct login *login, struct exchange *x, struct slice error)
{
    const char *word = "an error of its own";
    for (size_t i = 0; refusals[i]; i++)
        if (slice_equal(error, slice_of_text(refusals[i])))
            word = refusals[i];
    bool is_denied = strcmp(word, "access_denied") == 0,
         is_down =
             strcmp(word, "temporarily_unavailable") == 0 || strcmp(word, "server_error") == 0;
    login_count(login, x,
        is_denied ? LOGIN_DENIED_BY_PROVIDER
        : is_down ? LOGIN_UNANSWERED
                  : LOGIN_BROKEN);
    return login_problem(x,
        is_denied ? LOGIN_DENIED
        : is_down ? LOGIN_UNAVAILABLE
                  : LOGIN_FAILED,
        word);
}

/* RFC 9207: the answer is of the provider that was asked. */
static bool is_of_issuer(
    const struct login_provider *provider, const struct oidc_provider *found, struct slice issuer)
{
    return issuer.data ? slice_equal(issuer, provider->issuer) : !found->names_issuer;
}

static enum status ask(const struct login *login, const struct login_provider *provider,
    const struct oidc_provider *found, struct exchange *x, const struct attempt *attempt,
    struct slice code, struct login_tokens *tokens, const char **why)
{
    struct text form = text_growing(0);
    oauth_form_add(&form, "grant_type", SLICE("authorization_code"));
    oauth_form_add(&form, "code", code);
    oauth_form_add(&form, "redirect_uri", attempt->place);
    oauth_form_add(&form, "code_verifier", attempt->verifier);
    enum status e = login_ask_tokens(login, provider, found, x, &form, tokens, why);
    text_release(&form);
    if (e == LOGIN_DENIED) /* the code, and not the user */
        e = LOGIN_FAILED;
    if (e)
        return e;
    *why = "its ID token is not of this login";
    struct slice nonce = json_text_of(tokens->claims, "nonce");
    if (nonce.size != attempt->nonce.size ||
        CRYPTO_memcmp(nonce.data, attempt->nonce.data, nonce.size) != 0)
        return LOGIN_FAILED;
    *why = login_bearer_problem(login, tokens);
    if (*why)
        return LOGIN_FAILED;
    e = login_ask_userinfo(
        login, provider, found, x, tokens, json_text_of(tokens->claims, "sub"), why);
    return e == LOGIN_DENIED ? LOGIN_FAILED : e;
}

/* The login is over, and well. */
static enum status welcome(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct attempt *attempt, const struct login_tokens *tokens)
{
    struct login_session session;
    login_session_begin(provider, x, tokens, &session);
    int status = x->request.method == METHOD_POST ? 303 : 302;
    enum status e = session.id.data ? login_redirect(x, status, attempt->to) : NO_MEMORY;
    if (!e)
        e = login_session_give(login, x, &session);
    if (!e)
        login_count(login, x, LOGIN_COMPLETED);
    if (e != TOO_LARGE)
        return e;
    login_count(login, x, LOGIN_BROKEN);
    return login_problem(x, LOGIN_FAILED, "its tokens are too large for cookies");
}

/* The browser has come back to where it began. */
static enum status complete(const struct login *login, const struct login_provider *provider,
    struct exchange *x, const struct attempt *attempt, const struct answer *answer)
{
    const char *why = "its discovery document cannot be fetched";
    struct login_tokens tokens;
    struct oidc_provider found;
    enum status e = login_discover(login, provider, x, &found);
    if (!e && !is_of_issuer(provider, &found, answer->issuer)) {
        why = "the answer is another provider's";
        e = LOGIN_FAILED;
    }
    if (!e && answer->error.size)
        return tell_refusal(login, x, answer->error);
    if (!e && !answer->code.size) {
        why = "it names no code";
        e = LOGIN_FAILED;
    }
    if (!e)
        e = ask(login, provider, &found, x, attempt, answer->code, &tokens, &why);
    if (e == LOGIN_FAILED || e == LOGIN_UNAVAILABLE) {
        login_count(login, x, e == LOGIN_FAILED ? LOGIN_BROKEN : LOGIN_UNANSWERED);
        return login_problem(x, e, why);
    }
    return e ? e : welcome(login, provider, x, attempt, &tokens);
}

/* From the URL, or from the form (OAuth 2.0 Form Post Response Mode §2). */
static enum status read_answer(
    const struct login_provider *provider, struct exchange *x, struct answer *ret_answer)
{
    struct slice text = x->request.query;
    enum status e = provider->response_mode == LOGIN_BY_FORM ? login_read_form(x, &text) : OK;
    if (!e)
        *ret_answer = (struct answer){.state = uri_query_value(&x->arena, text, SLICE("state")),
            .code = uri_query_value(&x->arena, text, SLICE("code")),
            .error = uri_query_value(&x->arena, text, SLICE("error")),
            .issuer = uri_query_value(&x->arena, text, SLICE("iss"))};
    return e == TOKEN_MALFORMED ? LOGIN_STRAY : e;
}

enum status login_return(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    struct answer answer = {.issuer = SLICE_NONE};
    struct attempt attempt = {.until = 0};
    enum status e = read_answer(provider, x, &answer);
    if (e && e != LOGIN_STRAY)
        return e;
    const struct slice state = answer.state;
    bool is_ours =
        state.size == RANDOM_TEXT + 1 && state.data[0] >= '0' && state.data[0] < '0' + ATTEMPTS;
    struct split_cookie cookie =
        cookie_of(login, provider, &x->arena, is_ours ? (unsigned)(state.data[0] - '0') : 0);
    if (!cookie.name.data)
        return NO_MEMORY;
    e = is_ours ? take(login, x, &cookie, state, &attempt) : INVALID;
    if (e && e != INVALID)
        return e;
    if (e || !slice_equal(attempt.provider, provider->name)) {
        login_count(login, x, LOGIN_STRAYED);
        return LOGIN_STRAY;
    }
    e = complete(login, provider, x, &attempt, &answer);
    return e ? e : split_cookie_forget(&cookie, &x->request.fields, &x->response.fields);
}
