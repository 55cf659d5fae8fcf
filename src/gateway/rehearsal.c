#include "gateway/rehearsal.h"

#include "http/forwarded.h"
#include "http/request_id.h"
#include "run/loop.h"

static enum status send_nothing(struct exchange *x, const struct http_response *interim)
{
    (void)x;
    (void)interim;
    return OK;
}

static const struct exchange_hooks hooks = {.send_interim = send_nothing};

static enum status fill_fields(const struct rehearsal_request *from, struct exchange *x)
{
    enum status e =
        from->host.size ? fields_add_known(&x->request.fields, FIELD_HOST, from->host) : OK;
    for (size_t i = 0; !e && i < from->field_count; i++) {
        const struct rehearsal_field *field = &from->fields[i];
        if (!field_name_is_valid(field->name) || !field_value_is_valid(field->value))
            return INVALID;
        e = fields_add(&x->request.fields, field_id_of(field->name), field->name, field->value);
    }
    return e;
}

static enum status fill_request(const struct snapshot *snapshot,
    const struct rehearsal_request *from, struct rehearsal *rehearsal)
{
    struct exchange *x = &rehearsal->x;
    struct http_request *request = &x->request;
    uint16_t port;
    request->method = http_method_of(from->method);
    request->method_text = from->method;
    request->version = HTTP_1_1;
    request->target = from->target;
    request->scheme = from->is_secure ? SLICE("https") : SLICE("http");
    request->authority = from->host;
    request->body = body_init_slice(&rehearsal->no_body, SLICE_NONE);
    size_t mark = slice_find(from->target, '?');
    if (mark < from->target.size)
        request->query = slice_of(from->target.data + mark + 1, from->target.size - mark - 1);
    enum status e = fill_fields(from, x);
    if (!e && from->host.size)
        e = uri_parse_authority(&x->arena, from->host, &request->host, &port);
    if (!e)
        e = uri_normalise_path(&x->arena, slice_head(from->target, mark),
            (enum encoded_slash)snapshot->options->http.encoded_slash, &request->path);
    struct slice client = from->client.size ? from->client : SLICE("127.0.0.1");
    if (!e && address_parse_ip(client, 0, &x->peer))
        e = INVALID;
    x->client = x->peer;
    return e;
}

static enum status run(const struct snapshot *snapshot, struct rehearsal *rehearsal)
{
    struct exchange *x = &rehearsal->x;
    enum status e =
        forwarded_read(x, snapshot->options->trusted.items, snapshot->options->trusted.count);
    if (!e)
        e = request_id_assign(x);
    if (!e)
        e = snapshot_route(snapshot, x, &rehearsal->route);
    if (e)
        return e;
    x->facts.route = rehearsal->route->name;
    x->facts.service = rehearsal->route->service;
    return handler_serve(&rehearsal->route->chain, x);
}

enum status rehearse(const struct snapshot *snapshot, const struct rehearsal_request *request,
    struct rehearsal *rehearsal)
{
    struct exchange *x = &rehearsal->x;
    *rehearsal = (struct rehearsal){.route = NULL};
    arena_init(&x->arena, 0, 0);
    scope_init(&x->scope);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
    x->hooks = &hooks;
    x->deadline = NEVER;
    x->is_rehearsal = true;
    x->is_secure = request->is_secure;
    x->supposed = request->tls;
    x->claims = request->claims;
    x->facts.started = loop_now();
    enum status e = fill_request(snapshot, request, rehearsal);
    if (e == INVALID || e == NO_MEMORY)
        return e;
    rehearsal->result = e ? e : run(snapshot, rehearsal);
    if (rehearsal->result)
        exchange_respond_problem(x, rehearsal->result, SLICE_NONE);
    return OK;
}

void rehearsal_release(struct rehearsal *rehearsal)
{
    struct exchange *x = &rehearsal->x;
    if (x->response.body)
        body_drop(x->response.body);
    scope_end(&x->scope);
    arena_release(&x->arena);
}
