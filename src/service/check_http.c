/* Questions by HTTP: a connection for each, so that a check also tells whether one can connect. */
#include "service/check_question.h"

#include "run/loop.h"
#include "service/connect.h"
#include "service/service_tls.h"

#define HEAD_MAX 4096

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

void question_init(struct question *q, struct arena *arena, const struct endpoint *endpoint,
    const struct service_options *options, int64_t timeout)
{
    struct tls_client *client = service_tls_client(options);
    *q = (struct question){.arena = arena,
        .method = HEALTH_GET,
        .tls_name = arena_copy(arena, endpoint->tls_name),
        .client = client ? tls_client_ref(client) : NULL,
        .speaks_http2 = options->speaks_http2,
        .send_proxy = (enum proxy_version)options->send_proxy,
        .timeout = timeout,
        .deadline = clock_after(loop_now(), timeout),
        .trouble = ""};
    address_copy(&q->address, endpoint->address);
}

void question_release(struct question *q)
{
    tls_client_unref(q->client);
}

static struct slice host_of(
    const struct question *q, const struct service_options *options, struct slice host)
{
    if (options->host.size && !slice_equal(options->host, SLICE("endpoint")))
        return options->host;
    return q->address.any.sa_family == AF_UNIX ? SLICE("localhost") : host;
}

void question_set_target(struct question *q, const struct service_options *options,
    struct slice host, struct slice target, const char *agent)
{
    struct http_request *request = &q->request;
    struct slice path = arena_copy(q->arena, target);
    *request = (struct http_request){.method = q->method == HEALTH_HEAD ? METHOD_HEAD : METHOD_GET,
        .version = HTTP_1_1,
        .authority = arena_copy(q->arena, host_of(q, options, host))};
    request->method_text = http_method_name(request->method);
    size_t query = slice_find(path, '?');
    if (query < path.size)
        request->query = slice_from(path, query + 1);
    request->path = slice_head(path, query);
    fields_init(&request->fields, q->arena);
    (void)fields_add_known(&request->fields, FIELD_USER_AGENT, slice_of_text(agent));
}

enum status question_connect(struct question *q, struct stream **ret_stream)
{
    char header[PROXY_HEADER_ROOM];
    size_t size = proxy_header_write(q->send_proxy, NULL, NULL, header);
    return connect_address(&q->address, q->client, q->tls_name, slice_of(header, size), q->session,
        (struct connect_time){q->deadline, 0}, ret_stream, &q->trouble);
}

/* The rest of a body that is too long is not waited for: the connection ends anyway. */
enum status check_read_body(struct question *q, struct body *body)
{
    size_t room = CHECK_BODY_MAX;
    if (body->length >= 0 && (uint64_t)body->length < room)
        room = (size_t)body->length;
    struct text text = text_fixed(arena_bytes(q->arena, room + 1), room);
    struct slice part;
    enum status e = text.data ? OK : NO_MEMORY;
    while (!e && text.size < CHECK_BODY_MAX) {
        e = body_read(body, q->deadline, &part);
        if (!e)
            text_add(&text, slice_head(part, room - text.size));
    }
    if (e && e != END)
        return e;
    q->body = text_slice(&text);
    if (e == END && body->trailers)
        q->trailers = *body->trailers;
    return OK;
}

static enum status read_answer(struct question *q, struct wire *wire)
{
    struct h1_framing framing;
    enum http_method method = q->request.method;
    enum status e;
    do
        e = h1_read_response(wire, q->arena, &limits, method, q->deadline, &q->response, &framing);
    while (!e && q->response.status < 200);
    if (e)
        return e;
    struct h1_body body;
    struct body *reader = h1_body_init(&body, wire, &limits, &framing, q->arena, q->timeout);
    e = check_read_body(q, reader);
    body_drop(reader);
    return e;
}

static enum status ask_h1(struct question *q, struct stream *stream)
{
    struct wire wire;
    struct text head = text_fixed(arena_bytes(q->arena, HEAD_MAX), HEAD_MAX);
    struct h1_framing framing = {.kind = H1_NO_BODY};
    wire_init(&wire, stream);
    enum status e = head.data ? OK : NO_MEMORY;
    if (!e)
        h1_write_request_head(&head, &q->request, &framing);
    if (!e && head.failed)
        e = TOO_LARGE;
    if (!e)
        e = stream_write(stream, head.data, head.size, q->deadline, NULL);
    if (!e)
        e = read_answer(q, &wire);
    wire_release(&wire);
    return e;
}

/* Over TLS both sides agree on it. */
static bool is_h2(const struct question *q, const struct stream *stream)
{
    return q->speaks_http2 && (!q->client || q->method == HEALTH_GRPC || pool_is_h2(stream));
}

enum status check_ask_http(struct question *q)
{
    struct stream *stream;
    if (!q->request.path.data || !q->request.authority.data)
        return NO_MEMORY;
    enum status e = question_connect(q, &stream);
    if (e)
        return e;
    return is_h2(q, stream) ? check_ask_h2(q, stream) : ask_h1(q, stream);
}
