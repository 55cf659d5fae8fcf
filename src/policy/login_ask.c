#include "policy/login.h"

#define FORM_MAX ((size_t)128 << 10)

/* Asking providers, and hearing from them. */

enum status login_ask(const struct login *login, const struct login_provider *provider,
    struct slice url, struct exchange *x, struct inquiry *inquiry,
    struct inquiry_answer *ret_answer)
{
    inquiry->timeout = login->timeout;
    return oidc_issuer_ask(&provider->remote, url, x, inquiry, &x->arena, ret_answer);
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
