/* HTTP/2: a stream of a connection that the worker's requests share. */
#include "http/h2_channel.h"
#include "http/websocket_handshake.h"
#include "run/loop.h"
#include "service/call.h"

/* What becomes a WebSocket outlives the exchange, or at least its memory. */
static enum status make_stream(struct attempt *attempt, struct arena **ret_arena)
{
    struct exchange *x = attempt->call->x;
    struct h2_channel *channel;
    *ret_arena = &x->arena;
    if (!x->is_websocket) {
        attempt->stream = arena_alloc(&x->arena, sizeof *attempt->stream);
        return attempt->stream ? OK : NO_MEMORY;
    }
    enum status e = h2_channel_new(&x->arena, &channel);
    if (e)
        return e;
    attempt->stream = &channel->call;
    *ret_arena = &channel->arena;
    return OK;
}

/* Without a wait between acquiring and this: the room is there still. */
static enum status prepare(struct attempt *attempt)
{
    struct http_request *request = &attempt->call->x->request;
    struct slice asked = request->authority;
    attempt->call->x->grpc_reset = GRPC_OK;
    struct arena *arena;
    enum status e = make_stream(attempt, &arena);
    if (e)
        return e;
    if (attempt->call->x->grpc && grpc_forward_timeout(attempt->call->x, attempt->deadline))
        return NO_MEMORY;
    request->authority = attempt_host(attempt);
    e = h2_call_begin(attempt->stream, attempt->shared->client, arena, request,
        &attempt->call->parcel.framing, attempt->call->parcel.kind != PARCEL_EMPTY);
    request->authority = asked;
    return e == CLOSED ? UPSTREAM_CLOSED : e;
}

/* It is on its way already. */
static enum status send_head(struct attempt *attempt)
{
    (void)attempt;
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
    struct attempt *attempt, struct body *body, struct slice *ret_part, bool *ret_last)
{
    bool is_last = false;
    enum status e = body_read(body, upload_deadline(attempt), ret_part);
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

static enum status pump(struct attempt *attempt, struct body *body, bool *ret_source_failed)
{
    const struct h1_framing *framing = &attempt->call->parcel.framing;
    uint64_t sent = 0;
    bool is_last = false;
    enum status e = OK;
    while (!e && !is_last) {
        struct slice part;
        e = read_part(attempt, body, &part, &is_last);
        sent += e ? 0 : part.size;
        if (!e && is_wrong_length(framing, sent, is_last))
            e = is_last ? INCOMPLETE : TOO_LARGE;
        if (e) {
            *ret_source_failed = true;
            if (attempt->stream->has_final && e != CANCELLED) /* else who waits for it is told */
                h2_call_abort(attempt->stream, body_status_of_client(e));
            return e;
        }
        h2_call_offer(attempt->stream, part, is_last, is_last ? body->trailers : NULL);
        e = h2_call_wait_taken(attempt->stream, call_idle(attempt->call), upload_deadline(attempt));
    }
    return e;
}

/* A service may answer before it has let us send all of the request. */
static enum status keep_unsent(struct attempt *attempt)
{
    return h2_call_keep(attempt->stream);
}

static enum status send_request(struct attempt *attempt, struct body *body, bool *ret_source_failed)
{
    struct upload *upload = &attempt->upload;
    if (attempt->call->parcel.kind == PARCEL_STREAM)
        return pump(attempt, body, ret_source_failed);
    if (attempt->call->parcel.kind ==
        PARCEL_MEMORY) /* it stays where it is until there is an answer that is wanted */
        h2_call_offer(attempt->stream, upload->memory.bytes, true, NULL);
    return OK;
}

/* What was asked of it in other words is answered in those. */
static enum status translate(struct attempt *attempt)
{
    const struct exchange *x = attempt->call->x;
    int status = attempt->response.status;
    if (!x->is_websocket || status < 200 || status >= 300)
        return OK;
    return websocket_from_connected(&x->request, &attempt->response);
}

static enum status read_head(struct attempt *attempt, instant deadline)
{
    struct h2_call *stream = attempt->stream;
    bool is_from_memory = attempt->call->parcel.kind == PARCEL_MEMORY;
    enum status e = h2_call_read_head(stream, deadline, &attempt->response, &attempt->framing);
    attempt->is_answered |= stream->is_answered;
    if (is_from_memory && e == TIMEOUT && !stream->is_sent)
        return UPSTREAM_WRITE_TIMEOUT;
    return e ? e : translate(attempt);
}

static struct body *begin_body(struct attempt *attempt)
{
    return h2_call_body(attempt->stream, call_idle(attempt->call));
}

/* The peer was about to go and has said that it did not begin; or its connection, which had served
 * others, ended under a request that may be made twice. */
static bool was_tired(const struct attempt *attempt, enum status e)
{
    const struct h2_call *stream = attempt->stream;
    if (!stream)
        return false;
    if ((e == UPSTREAM_TIMEOUT || e == UPSTREAM_WRITE_TIMEOUT) && stream->client)
        h2_client_probe(stream->client);
    if (e == UPSTREAM_RESET)
        return stream->is_left;
    if (e != UPSTREAM_CLOSED)
        return false;
    return h2_call_is_unseen(stream) ||
           (attempt->is_on_old && !attempt->is_answered && retry_is_harmless(attempt->call));
}

static bool is_unseen(const struct attempt *attempt, enum status e)
{
    return attempt->stream && (e == UPSTREAM_CLOSED || e == UPSTREAM_RESET) &&
           h2_call_is_unseen(attempt->stream);
}

static void finish(struct attempt *attempt, bool can_go_on)
{
    (void)can_go_on; /* the stream is all that ends here */
    if (!attempt->stream)
        return;
    if (attempt->stream->failure == UPSTREAM_RESET)
        attempt->call->x->grpc_reset = grpc_status_of_reset(attempt->stream->reset);
    h2_call_end(attempt->stream);
    attempt->stream = NULL;
}

const struct transport transport_h2 = {.prepare = prepare,
    .send_head = send_head,
    .send = send_request,
    .keep_unsent = keep_unsent,
    .read_head = read_head,
    .body = begin_body,
    .was_tired = was_tired,
    .is_unseen = is_unseen,
    .finish = finish};
