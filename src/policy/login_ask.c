#include "policy/login.h"

#include "service/service.h"

#define FORM_MAX ((size_t)128 << 10)

/* Asking providers, and hearing from them. */

/* Whether the service that stands for the issuer's host can be asked: it has connections that are
 * kept, but trusts the system's authorities alone. */
static bool is_at_home(const struct login_provider *provider, struct slice url)
{
    struct slice rest = slice_from(url, provider->home.text.size);
    return !provider->ca.size && slice_has_prefix(url, provider->home.text) &&
           slice_has_prefix(rest, SLICE("/"));
}

static enum status ask_elsewhere(const struct login *login, const struct login_provider *provider,
    struct slice url, struct exchange *x, const struct inquiry *inquiry,
    struct inquiry_answer *ret_answer)
{
    const struct inquiry_elsewhere elsewhere = {.url = url,
        .resolver = service_plane_worker_resolver(login->plane, x->worker),
        .tls = keyring_tls(provider->ring)};
    if (!elsewhere.resolver)
        return NO_MEMORY;
    return inquiry_ask_elsewhere(&provider->home, x, &elsewhere, inquiry, &x->arena, ret_answer);
}

enum status login_ask(const struct login *login, const struct login_provider *provider,
    struct slice url, struct exchange *x, struct inquiry *inquiry,
    struct inquiry_answer *ret_answer)
{
    inquiry->timeout = login->timeout;
    if (!is_at_home(provider, url))
        return ask_elsewhere(login, provider, url, x, inquiry, ret_answer);
    struct slice rest = slice_from(url, provider->home.text.size);
    size_t mark = slice_find(rest, '?');
    inquiry->path = slice_head(rest, mark);
    inquiry->query = mark < rest.size ? slice_from(rest, mark + 1) : SLICE_NONE;
    return inquiry_ask(&provider->home, x, inquiry, &x->arena, ret_answer);
}

enum status login_read_form(struct exchange *x, struct slice *ret_form)
{
    struct slice type = fields_value(&x->request.fields, FIELD_CONTENT_TYPE);
    if (!slice_equal_nocase(slice_trim(slice_head(type, slice_find(type, ';'))),
            SLICE("application/x-www-form-urlencoded")))
        return TOKEN_MALFORMED;
    enum status e = body_read_all(x->request.body, &x->arena, FORM_MAX, x->deadline, ret_form);
    return e == TOO_LARGE ? BODY_TOO_LARGE : e ? body_status_of_client(e) : OK;
}
