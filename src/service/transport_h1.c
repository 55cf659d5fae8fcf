/* HTTP/1.1: a connection of the pool, which one request has for itself. */
#include "run/loop.h"
#include "service/call.h"
#include "service/connect.h"

#define HEAD_MAX ((size_t)256 * 1024)

static void write_head(struct attempt *attempt, struct text *text)
{
    struct http_request *request = &attempt->call->x->request;
    struct slice asked = request->authority;
    request->authority = attempt_host(attempt);
    h1_write_request_head(text, request, &attempt->call->parcel.framing);
    request->authority = asked;
}

/* Into a buffer of the pool, or into the arena when it is longer. */
static enum status prepare(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    upload->buffer = buffer_take_small();
    if (!upload->buffer)
        return NO_MEMORY;
    struct text text = text_fixed(upload->buffer->data, upload->buffer->capacity);
    write_head(attempt, &text);
    if (text.failed) {
        text = text_fixed(arena_bytes(&attempt->call->x->arena, HEAD_MAX), HEAD_MAX);
        if (text.data)
            write_head(attempt, &text);
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

static enum status send_head(struct attempt *attempt)
{
    struct upload *upload = &attempt->upload;
    instant until = clock_after(loop_now(), attempt->call->service->options->timeout.idle);
    enum status e = stream_write(
        attempt->upstream->wire.stream, upload->head.data, upload->head.size, until, NULL);
    upload->head = SLICE_NONE;
    return e;
}

static enum status send_request(struct attempt *attempt, struct body *body, bool *ret_source_failed)
{
    struct upload *upload = &attempt->upload;
    uint64_t sent = 0;
    enum status e = h1_send(attempt->upstream->wire.stream, upload->head, body,
        &attempt->call->parcel.framing, attempt->call->service->options->timeout.idle,
        upload_deadline(attempt), &sent, ret_source_failed);
    give_buffer(upload);
    return e;
}

static enum status read_head(struct attempt *attempt, instant deadline)
{
    struct wire *wire = &attempt->upstream->wire;
    enum status e = h1_read_response(wire, &attempt->call->x->arena, &upstream_limits,
        attempt->call->x->request.method, deadline, &attempt->response, &attempt->framing);
    if (e && wire_has_bytes(wire))
        attempt->is_answered = true;
    if (e == END || e == CLOSED || e == IO_ERROR)
        return connect_status_of_end(wire->stream);
    return e;
}

static struct body *begin_body(struct attempt *attempt)
{
    return h1_body_init(&attempt->call->answer.h1, &attempt->upstream->wire, &upstream_limits,
        &attempt->framing, &attempt->call->x->arena, call_idle(attempt->call));
}

/* A connection that had rested closes under the request: most likely its peer was tired of it, and
 * has not seen the request. Sending that again is safe when doing it twice does no harm, or none of
 * it got there (RFC 9110 §9.2.2, RFC 9112 §9.3.1). */
static bool was_tired(const struct attempt *attempt, enum status e)
{
    const struct upstream *upstream = attempt->upstream;
    if (e != UPSTREAM_CLOSED || upstream->requests == 0 || attempt->is_answered)
        return false;
    return retry_is_harmless(attempt->call) || upload_left_nothing(attempt);
}

static bool is_unseen(const struct attempt *attempt, enum status e)
{
    return e == UPSTREAM_CLOSED && upload_left_nothing(attempt);
}

static void finish(struct attempt *attempt, bool can_go_on)
{
    struct answer *answer = &attempt->call->answer;
    can_go_on = can_go_on && attempt->framing.keep_alive && upload_is_complete(&attempt->upload);
    give_buffer(&attempt->upload);
    if (answer->inner) {
        can_go_on = can_go_on && h1_body_is_complete(&answer->h1);
        body_drop(answer->inner);
    }
    if (attempt->upstream && can_go_on)
        pool_give(attempt->upstream, &attempt->call->service->options->connections);
    else
        pool_discard(attempt->upstream);
    attempt->upstream = NULL;
}

const struct transport transport_h1 = {.prepare = prepare,
    .send_head = send_head,
    .send = send_request,
    .read_head = read_head,
    .body = begin_body,
    .was_tired = was_tired,
    .is_unseen = is_unseen,
    .finish = finish};
