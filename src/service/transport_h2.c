/* HTTP/2: a stream of a connection that the worker's requests share. */
#include "run/loop.h"
#include "service/call.h"

/* Without a wait between acquiring and this: the room is there still. */
static enum status prepare(struct call *call)
{
    struct http_request *request = &call->x->request;
    struct slice asked = request->authority;
    call->x->grpc_reset = GRPC_OK;
    call->stream = arena_alloc(&call->x->arena, sizeof *call->stream);
    if (!call->stream)
        return NO_MEMORY;
    if (call->x->grpc && grpc_forward_timeout(call->x))
        return NO_MEMORY;
    request->authority = call_host(call);
    enum status e = h2_call_begin(call->stream, call->shared->client, &call->x->arena, request,
        &call->upload.framing, call->upload.kind != UPLOAD_EMPTY);
    request->authority = asked;
    return e == CLOSED ? UPSTREAM_CLOSED : e;
}

/* It is on its way already. */
static enum status send_head(struct call *call)
{
    (void)call;
    return OK;
}

static bool is_wrong_length(const struct h1_framing *framing, uint64_t sent, bool is_last)
{
    if (framing->kind != H1_LENGTH)
        return false;
    return is_last ? sent != framing->length : sent > framing->length;
}

/* The next part, empty when only the end was left. */
static enum status read_part(
    struct call *call, struct body *body, struct slice *ret_part, bool *ret_last)
{
    bool is_last = false;
    enum status e = body_read(body, call->x->deadline, ret_part);
    if (e == END) {
        *ret_part = SLICE_NONE;
        *ret_last = true;
        return OK;
    }
    if (e)
        return e;
    *ret_last = body_peek(body, &is_last).size == 0 && is_last;
    return OK;
}

static enum status pump(struct call *call, struct body *body, bool *ret_source_failed)
{
    const struct h1_framing *framing = &call->upload.framing;
    uint64_t sent = 0;
    bool is_last = false;
    enum status e = OK;
    while (!e && !is_last) {
        struct slice part;
        e = read_part(call, body, &part, &is_last);
        sent += e ? 0 : part.size;
        if (!e && is_wrong_length(framing, sent, is_last))
            e = is_last ? INCOMPLETE : TOO_LARGE;
        if (e) {
            *ret_source_failed = true;
            if (call->stream->has_final && e != CANCELLED) /* else who waits for it is told */
                h2_call_abort(call->stream, upload_status_of_source(e));
            return e;
        }
        h2_call_offer(call->stream, part, is_last, is_last ? body->trailers : NULL);
        e = h2_call_wait_taken(call->stream, call_idle(call), call->x->deadline);
    }
    return e;
}

static enum status send_request(struct call *call, struct body *body, bool *ret_source_failed)
{
    struct upload *upload = &call->upload;
    if (upload->kind == UPLOAD_STREAM)
        return pump(call, body, ret_source_failed);
    if (upload->kind == UPLOAD_MEMORY) /* it stays where it is until there is an answer */
        h2_call_offer(call->stream, upload->memory.bytes, true, NULL);
    return OK;
}

static enum status read_head(struct call *call, instant deadline)
{
    struct h2_call *stream = call->stream;
    bool is_from_memory = call->upload.kind == UPLOAD_MEMORY;
    enum status e = h2_call_read_head(stream, deadline, &call->response, &call->framing);
    if (is_from_memory && !e && call->response.status >= 200)
        h2_call_withdraw(stream); /* nobody waits for what was not sent by now */
    if (is_from_memory && e == TIMEOUT && !stream->is_sent)
        return UPSTREAM_WRITE_TIMEOUT;
    return e;
}

static struct body *begin_body(struct call *call)
{
    return h2_call_body(call->stream, call_idle(call));
}

/* The peer has said that it did not begin; or its connection, which had served others, ended under
 * a request that may be made twice. */
static bool may_repeat(const struct call *call, enum status e)
{
    const struct h2_call *stream = call->stream;
    if (!stream)
        return false;
    if ((e == UPSTREAM_TIMEOUT || e == UPSTREAM_WRITE_TIMEOUT) && stream->client)
        h2_client_probe(stream->client);
    if (e != UPSTREAM_CLOSED && e != UPSTREAM_RESET)
        return false;
    if (h2_call_is_unseen(stream))
        return true;
    return e == UPSTREAM_CLOSED && call->is_on_old && !stream->is_answered &&
           http_method_is_idempotent(call->x->request.method);
}

static void finish(struct call *call, bool can_go_on)
{
    (void)can_go_on; /* the stream is all that ends here */
    if (!call->stream)
        return;
    if (call->stream->failure == UPSTREAM_RESET)
        call->x->grpc_reset = grpc_status_of_reset(call->stream->reset);
    h2_call_end(call->stream);
    call->stream = NULL;
}

const struct transport transport_h2 = {.prepare = prepare,
    .send_head = send_head,
    .send = send_request,
    .read_head = read_head,
    .body = begin_body,
    .may_repeat = may_repeat,
    .finish = finish};
