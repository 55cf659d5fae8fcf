/* Checks by HTTP/2, and gRPC's own health checking protocol
 * (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): grpc.health.v1.Health/Check is
 * asked with the name of a service, and says whether that is SERVING. */
#include <stdlib.h>

#include "http/grpc.h"
#include "http/h2_client.h"
#include "service/check_question.h"

#define NAME_MAX_SIZE 127  /* whose length takes one byte */
#define PREFIX        5    /* of a message: a flag, and the length in four bytes */
#define FIELD_NAME    0x0a /* HealthCheckRequest.service: field 1, bytes */
#define FIELD_STATUS  0x08 /* HealthCheckResponse.status: field 1, a number */
#define SERVING       1

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

static bool is_grpc(const struct question *q)
{
    return q->method == HEALTH_GRPC;
}

/* The message that asks, with its prefix. */
static struct slice write_message(const struct question *q)
{
    struct slice name = q->request.path;
    if (slice_equal(name, SLICE("*")))
        name.size = 0;
    name = slice_head(name, NAME_MAX_SIZE);
    size_t size = name.size ? name.size + 2 : 0;
    char *room = arena_bytes(q->arena, PREFIX + size);
    if (!room)
        return SLICE_NONE;
    memset(room, 0, PREFIX);
    room[PREFIX - 1] = (char)size;
    if (size) {
        room[PREFIX] = FIELD_NAME;
        room[PREFIX + 1] = (char)name.size;
        memcpy(room + PREFIX + 2, name.data, name.size);
    }
    return slice_of(room, PREFIX + size);
}

static enum status make_call(struct question *q)
{
    struct http_request *request = &q->request;
    request->method = METHOD_POST;
    request->method_text = SLICE("POST");
    request->path = SLICE("/grpc.health.v1.Health/Check");
    request->query = SLICE_NONE;
    enum status e =
        fields_add_known(&request->fields, FIELD_CONTENT_TYPE, SLICE("application/grpc"));
    return e ? e : fields_add_known(&request->fields, FIELD_TE, SLICE("trailers"));
}

static enum status complain(struct question *q, const char *trouble)
{
    q->trouble = trouble;
    return NO_ENDPOINT;
}

/* Status 0 in the trailers, or in the head when there is nothing else, and one message. */
static enum status judge(struct question *q)
{
    struct slice message = q->body;
    struct slice status = fields_value(&q->response.fields, FIELD_GRPC_STATUS);
    if (!status.data)
        status = fields_value(&q->trailers, FIELD_GRPC_STATUS);
    if (!status.data || q->response.status != 200)
        return complain(q, "it does not speak gRPC");
    if (slice_equal(status, SLICE("12")))
        return complain(q, "it has no gRPC health service");
    if (slice_equal(status, SLICE("5")))
        return complain(q, "it does not know the service");
    if (!slice_equal(status, SLICE("0")))
        return complain(q, "its health service failed");
    bool is_serving = message.size >= PREFIX + 2 && message.data[PREFIX] == FIELD_STATUS &&
                      message.data[PREFIX + 1] == SERVING;
    return is_serving ? OK : complain(q, "it says that it does not serve");
}

static enum status read_answer(struct question *q, struct h2_call *call)
{
    struct h1_framing framing;
    enum status e;
    do
        e = h2_call_read_head(call, q->deadline, &q->response, &framing);
    while (!e && q->response.status < 200);
    if (!e && framing.kind != H1_NO_BODY)
        e = check_read_body(q, h2_call_body(call, q->timeout));
    return e || !is_grpc(q) ? e : judge(q);
}

static enum status ask_on(struct question *q, struct h2_client *client)
{
    struct h1_framing framing = {.kind = H1_NO_BODY};
    struct h2_call call;
    struct slice message = is_grpc(q) ? write_message(q) : SLICE("");
    enum status e = message.data ? OK : NO_MEMORY;
    if (!e && is_grpc(q))
        e = make_call(q);
    if (e)
        return e;
    e = h2_call_begin(&call, client, q->arena, &q->request, &framing, is_grpc(q));
    if (!e && is_grpc(q))
        h2_call_offer(&call, message, true, NULL);
    if (!e)
        e = read_answer(q, &call);
    h2_call_end(&call);
    return e;
}

/* A connection, which may end before the question or long after it. */
struct visit {
    struct h2_client *client; /* NULL: it has ended */
    bool is_over;             /* nobody asks any more */
};

static void connection_ended(void *owner)
{
    struct visit *visit = owner;
    visit->client = NULL;
    if (visit->is_over)
        free(visit);
}

static void leave(struct visit *visit, struct stream *stream)
{
    visit->is_over = true;
    if (!visit->client) {
        free(visit);
        return;
    }
    tls_session_leave(stream);
    h2_client_close(visit->client);
}

static enum status visit_endpoint(struct question *q, struct stream *stream, struct visit *visit)
{
    const struct h2_client_options how = {.requests = 1,
        .window = CHECK_BODY_MAX,
        .ping_timeout = q->timeout,
        .limits = &limits,
        .scheme = q->client ? SLICE("https") : SLICE("http"),
        .ended = connection_ended,
        .owner = visit};
    enum status e = h2_client_new(stream, &how, &visit->client);
    if (e) {
        free(visit);
        return e;
    }
    e = ask_on(q, visit->client);
    leave(visit, stream);
    return e;
}

enum status check_ask_h2(struct question *q, struct stream *stream)
{
    struct visit *visit = calloc(1, sizeof *visit);
    if (visit)
        return visit_endpoint(q, stream, visit);
    stream_close(stream);
    return NO_MEMORY;
}
