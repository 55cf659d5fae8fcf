#include "policy/login.h"

#include "http/uri.h"

/* What lies under the path of a login, and where browsers are sent to. */

const struct login_provider *login_provider_of(const struct login *login, struct slice name)
{
    for (size_t i = 0; i < login->count; i++)
        if (slice_equal(login->used[i]->name, name))
            return login->used[i];
    return NULL;
}

struct slice login_origin(const struct login *login, struct exchange *x)
{
    if (login->url.size)
        return login->url;
    return arena_format(&x->arena, "https://%.*s", SLICE_ARG(x->request.authority));
}

struct slice login_safe_path(struct slice path)
{
    struct slice root = SLICE("/");
    if (path.size == 0 || path.size > LOGIN_TEXT_MAX || path.data[0] != '/')
        return root;
    if (path.size > 1 && path.data[1] == '/')
        return root;
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] <= ' ' || path.data[i] > '~' || strchr("\\\"<>", path.data[i]))
            return root;
    return path;
}

enum status login_redirect(struct exchange *x, int status, struct slice location)
{
    enum status e = exchange_respond(x, status, SLICE(""), SLICE(""));
    if (!e)
        e = fields_add(&x->response.fields, FIELD_LOCATION, SLICE("Location"), location);
    if (!e)
        e = fields_add_made(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
    return e == INVALID ? LOGIN_FAILED : e;
}

enum status login_problem(struct exchange *x, enum status reason, const char *detail)
{
    struct slice text = arena_format(&x->arena, "%s (%s)", status_sentence(reason), detail);
    if (!text.data)
        return NO_MEMORY;
    exchange_respond_problem(x, reason, text);
    x->facts.trouble = slice_of_text(detail);
    return fields_add_made(&x->response.fields, FIELD_CACHE_CONTROL, SLICE("no-store"));
}

/* --- the login's own paths */

enum status login_prepare_paths(struct arena *arena, struct login *login)
{
    login->callbacks = arena_array(arena, login->count + 2, sizeof *login->callbacks);
    if (!login->callbacks)
        return NO_MEMORY;
    for (size_t i = 0; i < login->count + 2; i++) {
        const char *word = i < login->count ? "callback" : i == login->count ? "logout" : "login";
        login->callbacks[i] = arena_format(arena, "%.*s/%s%.*s", SLICE_ARG(login->path), word,
            SLICE_ARG(i < login->count ? login->used[i]->step : SLICE("")));
        if (!login->callbacks[i].data)
            return NO_MEMORY;
    }
    return OK;
}

/* Only where there is a choice are browsers sent to the page where they have it. */
bool login_own_path(
    const void *config, size_t i, enum http_method *ret_method, struct slice *ret_path)
{
    const struct login *login = config;
    if (i >= login->count + (login->count > 1 ? 2 : 1))
        return false;
    *ret_method = i < login->count && login->used[i]->response_mode == LOGIN_BY_FORM ? METHOD_POST
                                                                                     : METHOD_GET;
    *ret_path = login->callbacks[i];
    return true;
}

static enum status serve_login(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    struct slice to = login_safe_path(uri_query_value(&x->arena, x->request.query, SLICE("to")));
    if (provider)
        return login_begin(login, provider, x, to);
    return login_page_choose(login, x, to);
}

/* What the provider has written into the URL, codes above all, is not for logs. */
static enum status serve_return(
    const struct login *login, const struct login_provider *provider, struct exchange *x)
{
    enum status e = login_return(login, provider, x);
    x->request.query = SLICE_NONE;
    x->request.target = x->request.path;
    return e;
}

enum status login_serve_own(const struct login *login, struct exchange *x)
{
    struct slice rest = slice_from(x->request.path, login->path.size), word;
    if (!slice_has_prefix(x->request.path, login->path) || !slice_has_prefix(rest, SLICE("/")))
        return NOT_FOUND;
    rest = slice_from(rest, 1);
    word = slice_head(rest, slice_find(rest, '/'));
    rest = slice_from(rest, word.size + 1);
    bool is_get = x->request.method == METHOD_GET || x->request.method == METHOD_HEAD;
    const struct login_provider *provider = login_provider_of(login, rest);
    bool is_begin = is_get && slice_equal(word, SLICE("login")) && (provider || !rest.size);
    bool is_return =
        slice_equal(word, SLICE("callback")) && provider &&
        (provider->response_mode == LOGIN_BY_FORM ? x->request.method == METHOD_POST : is_get);
    bool is_logout = (is_get || x->request.method == METHOD_POST) &&
                     slice_equal(word, SLICE("logout")) && !rest.size;
    bool is_message = x->request.method == METHOD_POST &&
                      slice_equal(word, SLICE("backchannel-logout")) && provider;
    if (!is_begin && !is_return && !is_logout && !is_message)
        return NOT_FOUND;
    if (x->is_rehearsal)
        return exchange_respond(x, 200, SLICE(""), SLICE(""));
    if (is_begin)
        return serve_login(login, provider, x);
    if (is_return)
        return serve_return(login, provider, x);
    return is_message ? login_hear_logout(login, provider, x) : login_logout(login, x);
}
