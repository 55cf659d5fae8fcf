#include "policy/login.h"

#include "http/uri.h"

/* Ends the session here, and sends the browser to the provider, so that it ends there, too (OpenID
 * Connect RP-Initiated Logout 1.0). */

/* Another site shall not log people out by a link or a picture. */
static bool comes_from_elsewhere(const struct exchange *x)
{
    struct slice site = fields_value_named(&x->request.fields, SLICE("Sec-Fetch-Site"));
    return slice_equal(site, SLICE("cross-site"));
}

/* Where the browser is to be in the end, as a URL; empty: it is not said. */
static enum status find_end(const struct login *login, struct exchange *x, struct slice *ret_url)
{
    *ret_url = login->after_logout;
    if (!slice_has_prefix(login->after_logout, SLICE("/")))
        return OK;
    struct slice origin = login_origin(login, x);
    *ret_url =
        arena_format(&x->arena, "%.*s%.*s", SLICE_ARG(origin), SLICE_ARG(login->after_logout));
    return origin.data && ret_url->data ? OK : NO_MEMORY;
}

static enum status make_request(const struct login *login, struct exchange *x,
    const struct login_session *session, struct slice endpoint, struct slice *ret_url)
{
    const struct login_provider *provider = login_provider_of(login, session->provider);
    struct text text = text_growing(0);
    struct slice end, client = uri_encode(&x->arena, provider->client.id), escaped;
    enum status e = find_end(login, x, &end);
    text_format(&text, "%.*s%cid_token_hint=%.*s&client_id=%.*s", SLICE_ARG(endpoint),
        slice_find(endpoint, '?') < endpoint.size ? '&' : '?', SLICE_ARG(session->id_token),
        SLICE_ARG(client));
    if (!e && end.size) {
        escaped = uri_encode(&x->arena, end);
        text_format(&text, "&post_logout_redirect_uri=%.*s", SLICE_ARG(escaped));
        e = escaped.data ? OK : NO_MEMORY;
    }
    if (!e && !text.failed && client.data)
        *ret_url = arena_copy(&x->arena, text_slice(&text));
    text_release(&text);
    return ret_url->data ? e : NO_MEMORY;
}

/* Where to: the provider, if it can be told; empty: nowhere. */
static enum status find_way(const struct login *login, struct exchange *x,
    const struct login_session *session, struct slice *ret_url)
{
    struct oidc_provider found;
    *ret_url = login->after_logout;
    if (!session)
        return OK;
    enum status e = login_discover(login, login_provider_of(login, session->provider), x, &found);
    if (e == LOGIN_UNAVAILABLE || (!e && !found.end_session_endpoint.size))
        return OK;
    *ret_url = SLICE_NONE;
    return e ? e : make_request(login, x, session, found.end_session_endpoint, ret_url);
}

enum status login_logout(const struct login *login, struct exchange *x)
{
    struct login_session *session = NULL;
    struct slice way = SLICE_NONE;
    bool was_known;
    if (comes_from_elsewhere(x))
        return NOT_ALLOWED;
    enum status e = login_session_find(login, x, &was_known, &session);
    if (e == CREDENTIALS_MISSING)
        e = OK;
    if (!e && session)
        e = login_end_session(login, x, session);
    if (!e)
        e = find_way(login, x, session, &way);
    if (!e)
        e = way.size ? login_redirect(x, 303, way) : login_page_left(login, x);
    if (!e)
        e = split_cookie_forget(&login->cookie, &x->request.fields, &x->response.fields);
    if (!e && session)
        login_count(login, x, LOGIN_LOGGED_OUT);
    return e;
}
