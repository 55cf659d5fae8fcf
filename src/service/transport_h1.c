/* HTTP/1.1: a connection of the pool, which one request has for itself. */
#include "run/loop.h"
#include "service/call.h"
#include "service/connect.h"

#define HEAD_MAX ((size_t)256 * 1024)

static void write_head(struct call *call, struct text *text)
{
    struct http_request *request = &call->x->request;
    struct slice asked = request->authority;
    request->authority = call_host(call);
    h1_write_request_head(text, request, &call->upload.framing);
    request->authority = asked;
}

/* Into a buffer of the pool, or into the arena when it is longer. */
static enum status prepare(struct call *call)
{
    struct upload *upload = &call->upload;
    upload->buffer = buffer_take_small();
    if (!upload->buffer)
        return NO_MEMORY;
    struct text text = text_fixed(upload->buffer->data, upload->buffer->capacity);
    write_head(call, &text);
    if (text.failed) {
        text = text_fixed(arena_bytes(&call->x->arena, HEAD_MAX), HEAD_MAX);
        if (text.data)
            write_head(call, &text);
    }
    if (!text.data || text.failed)
        return text.data ? TOO_LARGE : NO_MEMORY;
    upload->head = text_slice(&text);
    return OK;
}

static void give_buffer(struct upload *upload)
{
    buffer_give(upload->buffer);
    upload->buffer = NULL;
}

static enum status send_head(struct call *call)
{
    struct upload *upload = &call->upload;
    instant until = clock_after(loop_now(), call->service->options->timeout.idle);
    enum status e = stream_write(
        call->upstream->wire.stream, upload->head.data, upload->head.size, until, NULL);
    upload->head = SLICE_NONE;
    return e;
}

static enum status send_request(struct call *call, struct body *body, bool *ret_source_failed)
{
    struct upload *upload = &call->upload;
    uint64_t sent = 0;
    enum status e = h1_send(call->upstream->wire.stream, upload->head, body, &upload->framing,
        call->service->options->timeout.idle, call->x->deadline, &sent, ret_source_failed);
    give_buffer(upload);
    return e;
}

static enum status read_head(struct call *call, instant deadline)
{
    struct wire *wire = &call->upstream->wire;
    enum status e = h1_read_response(wire, &call->x->arena, &upstream_limits,
        call->x->request.method, deadline, &call->response, &call->framing);
    if (e == END || e == CLOSED || e == IO_ERROR)
        return connect_status_of_end(wire->stream);
    return e;
}

static struct body *begin_body(struct call *call)
{
    return h1_body_init(&call->answer.h1, &call->upstream->wire, &upstream_limits, &call->framing,
        &call->x->arena, call_idle(call));
}

/* A connection that had rested closes under the request: most likely its peer was tired of it, and
 * has not seen the request. Sending that again is safe when doing it twice does no harm, or none of
 * it got there (RFC 9110 §9.2.2, RFC 9112 §9.3.1). */
static bool may_repeat(const struct call *call, enum status e)
{
    const struct upstream *upstream = call->upstream;
    if (e != UPSTREAM_CLOSED || upstream->requests == 0 || wire_has_bytes(&upstream->wire))
        return false;
    return http_method_is_idempotent(call->x->request.method) || upload_left_nothing(&call->upload);
}

static void finish(struct call *call, bool can_go_on)
{
    struct answer *answer = &call->answer;
    can_go_on = can_go_on && call->framing.keep_alive && upload_is_complete(&call->upload);
    give_buffer(&call->upload);
    if (answer->inner) {
        can_go_on = can_go_on && h1_body_is_complete(&answer->h1);
        body_drop(answer->inner);
    }
    if (call->upstream && can_go_on)
        pool_give(call->upstream, &call->service->options->connections);
    else
        pool_discard(call->upstream);
    call->upstream = NULL;
}

const struct transport transport_h1 = {.prepare = prepare,
    .send_head = send_head,
    .send = send_request,
    .read_head = read_head,
    .body = begin_body,
    .may_repeat = may_repeat,
    .finish = finish};
