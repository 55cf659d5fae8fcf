#include "gateway/https.h"

#include "base/text.h"

#define CHALLENGES SLICE("/.well-known/acme-challenge/")

enum status https_admit(const struct snapshot *snapshot, struct exchange *x)
{
    struct tls_facts facts;
    if (!x->entrance->is_tls)
        return OK;
    if (!x->tls || !tls_facts(x->tls, &facts)) {
        x->must_close = true;
        return PLAIN_HTTP;
    }
    bool fits = snapshot->tls && tls_plan_fits(snapshot->tls, facts.name, x->request.host);
    return fits ? OK : MISDIRECTED;
}

bool https_is_elsewhere(const struct exchange *x)
{
    return x->entrance->redirects && slice_equal(x->request.scheme, SLICE("http")) &&
           !slice_has_prefix(x->request.path, CHALLENGES);
}

static struct slice location_of(struct exchange *x, uint16_t port)
{
    const struct http_request *request = &x->request;
    size_t room = request->host.size + request->path.size + request->query.size + 32;
    char *data = arena_bytes(&x->arena, room);
    if (!data)
        return SLICE_NONE;
    struct text text = text_fixed(data, room);
    bool is_ipv6 = slice_find(request->host, ':') < request->host.size;
    text_format(&text, is_ipv6 ? "https://[%.*s]" : "https://%.*s", SLICE_ARG(request->host));
    if (port != 443)
        text_format(&text, ":%u", port);
    text_add(&text, request->path);
    if (request->query.data) {
        text_add_char(&text, '?');
        text_add(&text, request->query);
    }
    return text.failed ? SLICE_NONE : text_slice(&text);
}

enum status https_redirect(const struct snapshot *snapshot, struct exchange *x)
{
    uint16_t port = x->entrance->redirect_port;
    if (x->request.host.size == 0)
        return BAD_HOST;
    struct slice location = location_of(x, port ? port : snapshot->https_port);
    if (!location.data)
        return NO_MEMORY;
    enum status e = exchange_respond(x, 308, SLICE_NONE, SLICE_NONE);
    return e ? e : fields_add_known(&x->response.fields, FIELD_LOCATION, location);
}
