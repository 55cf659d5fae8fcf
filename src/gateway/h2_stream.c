/* A stream: one exchange from its head to its end, and its answer on the way. */
#include <stdlib.h>

#include "base/random.h"
#include "gateway/h2_state.h"
#include "http/websocket_handshake.h"
#include "run/loop.h"

#define FIRST_BLOCK (5 * 1024)         /* of an exchange's arena: what a call of gRPC takes */
#define ARENA_LIMIT ((size_t)16 << 20) /* what one exchange may take */
#define FRAME_MOST  (BUFFER_SMALL - 9) /* of DATA, so that it has room in any buffer */

/* --- sending */

/* Names and values live in the exchange's arena, which stays until nghttp2 has written them or has
 * forgotten the stream: it need not copy them. */
static void borrow(struct h2_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        list->items[i].flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
}

static uint32_t trailer_flags(struct h2_stream *stream)
{
    struct h2_list *trailers = &stream->answer.trailers;
    if (!trailers->count)
        return NGHTTP2_DATA_FLAG_EOF;
    nghttp2_submit_trailer(stream->session->nghttp2, stream->id, trailers->items, trailers->count);
    return NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

/* How much of what is pending goes into the next frame; h2_output_data puts it there. */
// NOLINTNEXTLINE(readability-non-const-parameter): nghttp2 says what a callback looks like
static ssize_t read_answer(nghttp2_session *nghttp2, int32_t id, uint8_t *room, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(nghttp2, id);
    (void)room;
    (void)source;
    (void)user_data;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const struct h2_answer *answer = &stream->answer;
    size_t size = answer->pending.size < length ? answer->pending.size : length;
    size = size < FRAME_MOST ? size : FRAME_MOST;
    if (size == 0 && !answer->is_last)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (answer->is_last && size == answer->pending.size)
        *flags |= trailer_flags(stream);
    return (ssize_t)size;
}

static struct slice number(struct arena *arena, uint64_t value)
{
    char *digits = arena_bytes(arena, 20);
    struct text text = text_fixed(digits, digits ? 20 : 0);
    text_add_u64(&text, value);
    return text.failed ? SLICE_NONE : text_slice(&text);
}

/* What the answer's length is, or would have been (RFC 9110 §8.6); BODY_LENGTH_UNKNOWN: not said.
 */
static int64_t length_to_say(const struct exchange *x)
{
    const struct http_response *response = &x->response;
    int64_t length = response->body->length;
    uint64_t said;
    if (!http_response_has_no_body(x->request.method, response->status))
        return length;
    if (response->status < 200 || response->status == 204)
        return BODY_LENGTH_UNKNOWN;
    if (slice_to_u64(fields_value(&response->fields, FIELD_CONTENT_LENGTH), &said) &&
        said <= INT64_MAX)
        return (int64_t)said;
    return length > 0 ? length : BODY_LENGTH_UNKNOWN;
}

static enum status list_head(
    struct exchange *x, const struct http_response *response, int64_t length, struct h2_list *list)
{
    enum status e = h2_list_init(list, &x->arena, response->fields.count + 2);
    struct slice code = number(&x->arena, (uint64_t)response->status);
    if (e || !code.data)
        return NO_MEMORY;
    h2_list_add(list, SLICE(":status"), code);
    e = h2_list_add_fields(list, &x->arena, &response->fields);
    if (!e && length >= 0) {
        struct slice text = number(&x->arena, (uint64_t)length);
        if (!text.data)
            return NO_MEMORY;
        h2_list_add(list, field_name(FIELD_CONTENT_LENGTH), text);
    }
    borrow(list);
    return e;
}

static enum status send_interim(struct exchange *x, const struct http_response *interim)
{
    struct h2_stream *stream = x->connection;
    struct h2_list list;
    if (interim->status == 100)
        x->expects_continue = false;
    enum status e = list_head(x, interim, BODY_LENGTH_UNKNOWN, &list);
    if (e)
        return e;
    if (!stream->is_open)
        return CLOSED;
    if (nghttp2_submit_headers(stream->session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, NULL,
            list.items, list.count, NULL) < 0)
        return NO_MEMORY;
    h2_output_push(stream->session);
    return OK;
}

/* The connection below is shared with others: nobody is given it. */
static struct stream *stream_below(struct exchange *x)
{
    (void)x;
    return NULL;
}

static bool is_draining(const struct exchange *x)
{
    const struct h2_stream *stream = x->connection;
    return stream->carrier.server->is_draining && !stream->carrier.is_broken;
}

static const struct exchange_hooks hooks = {.send_interim = send_interim,
    .is_draining = is_draining,
    .leaves = serving_leaves,
    .doze = serving_doze,
    .stream = stream_below};

static void reset(struct h2_stream *stream, uint32_t code)
{
    if (!stream->is_open || stream->is_reset)
        return;
    stream->is_reset = true;
    nghttp2_submit_rst_stream(stream->session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, code);
    h2_output_push(stream->session);
}

enum status h2_stream_wait(struct h2_stream *stream, int64_t idle, bool all)
{
    struct h2_answer *answer = &stream->answer;
    uint64_t sent = answer->sent;
    instant until = clock_after(loop_now(), idle);
    enum status e = OK;
    while (!e && stream->is_open && !answer->is_sent && (all || answer->pending.size)) {
        stream->waiter = fiber_current();
        e = fiber_wait(clock_sooner(until, stream->x.deadline));
        stream->waiter = NULL;
        if (answer->sent != sent)
            until = clock_after(loop_now(), idle);
        sent = answer->sent;
    }
    return e ? e : answer->is_sent || stream->is_open ? OK : CLOSED;
}

static bool has_fields(const struct fields *fields)
{
    for (uint32_t i = 0; fields && i < fields->count; i++)
        if (fields->items[i].name.size)
            return true;
    return false;
}

static enum status list_trailers(struct h2_stream *stream)
{
    const struct fields *trailers = stream->x.response.body->trailers;
    struct h2_list *list = &stream->answer.trailers;
    if (!has_fields(trailers))
        return OK;
    enum status e = h2_list_init(list, &stream->x.arena, trailers->count);
    if (!e)
        e = h2_list_add_fields(list, &stream->x.arena, trailers);
    borrow(list);
    return e;
}

/* The next part of the body, and whether it is the last. `*ret_source`: the body is at fault. */
static enum status read_next(struct h2_stream *stream, bool *ret_source)
{
    struct exchange *x = &stream->x;
    struct body *body = x->response.body;
    struct h2_answer *answer = &stream->answer;
    uint64_t left = body->length >= 0 ? (uint64_t)body->length - answer->sent : UINT64_MAX;
    struct slice data = SLICE_NONE;
    bool last = false;
    *ret_source = true;
    enum status e = body_read(body, x->deadline, &data);
    if (e == END && left && body->length >= 0)
        return INCOMPLETE;
    if (e && e != END)
        return e;
    if (data.size > left)
        return TOO_LARGE;
    answer->is_last = e == END || data.size == left ||
                      (body->length < 0 && body_peek(body, &last).size == 0 && last);
    e = answer->is_last ? list_trailers(stream) : OK;
    answer->pending = data;
    *ret_source = false;
    return e;
}

static enum status submit_head(struct h2_stream *stream, const struct h2_list *list, bool has_body)
{
    static const nghttp2_data_provider provider = {.read_callback = read_answer};
    if (!stream->is_open)
        return CLOSED;
    if (nghttp2_submit_response(stream->session->nghttp2, stream->id, list->items, list->count,
            has_body ? &provider : NULL))
        return NO_MEMORY;
    return OK;
}

static enum status send_body(struct h2_stream *stream, int64_t idle, bool *ret_source)
{
    while (!stream->answer.is_last) {
        enum status e = h2_stream_wait(stream, idle, false);
        if (!e)
            e = read_next(stream, ret_source);
        if (e)
            return e;
        if (!stream->is_open)
            return CLOSED;
        nghttp2_session_resume_data(stream->session->nghttp2, stream->id);
        h2_output_push(stream->session);
    }
    return OK;
}

/* What is here already leaves with the head; if nothing is, the head does not wait for it. */
static enum status send_whole(
    struct h2_stream *stream, const struct server_rules *rules, bool *ret_source)
{
    struct exchange *x = &stream->x;
    struct body *body = x->response.body;
    struct h2_list list;
    bool last = false;
    int64_t length = length_to_say(x);
    bool has_body = !http_response_has_no_body(x->request.method, x->response.status) && length;
    enum status e = list_head(x, &x->response, length, &list);
    if (!e && has_body && (body_peek(body, &last).size || last))
        e = read_next(stream, ret_source);
    if (!e)
        e = submit_head(stream, &list, has_body);
    if (e)
        return e;
    x->facts.first_byte_sent = loop_now();
    stream->answer.is_last = stream->answer.is_last || !has_body;
    h2_output_push(stream->session);
    e = send_body(stream, rules->http->body_timeout, ret_source);
    return e ? e : h2_stream_wait(stream, rules->http->body_timeout, true);
}

static void send_answer(struct h2_stream *stream, const struct server_rules *rules)
{
    bool is_source = false;
    if (stream->x.breaks_off) {
        serving_sent(&stream->x, CLOSED, false);
        reset(stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    serving_finish_fields(&stream->x, rules);
    enum status e = send_whole(stream, rules, &is_source);
    stream->x.facts.sent = stream->answer.sent;
    serving_sent(&stream->x, e, is_source);
    if (!e)
        return;
    if (e == TIMEOUT && !is_source && loop_now() < stream->x.deadline)
        h2_count(stream->session, H2_STALLS);
    /* Half an answer, or a client that takes nothing: no frame may be made of it any more. */
    stream->answer.pending = SLICE_NONE;
    stream->answer.is_last = false;
    reset(stream, is_source ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
}

/* The head of the answer leaves before the tunnel's first bytes; should that fail, the tunnel hears
 * of it, and so does its other end. */
static void send_tunnel(struct h2_stream *stream, const struct server_rules *rules)
{
    struct exchange *x = &stream->x;
    struct h2_list list;
    if (x->response.status == 101)
        websocket_to_connect(&x->response);
    serving_finish_fields(x, rules);
    enum status e = list_head(x, &x->response, BODY_LENGTH_UNKNOWN, &list);
    if (!e)
        e = submit_head(stream, &list, true);
    x->facts.first_byte_sent = loop_now();
    serving_sent(x, e, false);
    h2_output_push(stream->session);
    if (!e)
        e = h2_tunnel_run(stream);
    if (e) /* RFC 9113 §8.5 */
        reset(stream, x->request.method == METHOD_CONNECT ? NGHTTP2_CONNECT_ERROR : NGHTTP2_CANCEL);
}

/* --- the exchange */

/* Malformed by RFC 9113 §8.1.1: the client hears of it by a reset, the log as of any other. */
static void refuse(struct h2_stream *stream, const struct server_rules *rules, enum status e)
{
    serving_refuse(&stream->x, e);
    if (stream->head.is_malformed)
        reset(stream, NGHTTP2_PROTOCOL_ERROR);
    else
        send_answer(stream, rules);
}

/* What comes is the tunnel's, and no body. */
static enum status take_tunnel(struct h2_stream *stream, bool is_websocket)
{
    struct exchange *x = &stream->x;
    uint64_t random[] = {random_next(loop_random()), random_next(loop_random())};
    body_init_empty(&stream->nothing);
    x->request.body = &stream->nothing;
    return is_websocket ? websocket_from_connect(&x->request, random) : OK;
}

/* True when it has become a tunnel, which is over then. */
static bool answer(struct h2_stream *stream, const struct server_rules *rules)
{
    struct exchange *x = &stream->x;
    serving_answer(x, rules);
    bool is_tunnel = serving_is_tunnel(x);
    if (is_tunnel)
        send_tunnel(stream, rules);
    else
        send_answer(stream, rules);
    return is_tunnel;
}

static void serve(struct h2_stream *stream, const struct server_rules *rules)
{
    struct exchange *x = &stream->x;
    struct h2_request_framing framing = {0};
    stream->head.limits = &rules->limits;
    enum status e = h2_request_finish(&stream->head, stream->is_end, &framing);
    /* Messages of a call come when there are any: its deadline is what bounds it. */
    int64_t silence = !e && grpc_kind_of(&x->request) ? 0 : rules->http->body_timeout;
    h2_body_init(&stream->body, stream, e ? 0 : framing.length, silence);
    x->request.body = &stream->body.body;
    bool is_tunnel = framing.is_websocket;
    if (!e && (is_tunnel || x->request.method == METHOD_CONNECT))
        e = take_tunnel(stream, framing.is_websocket);
    if (e) {
        refuse(stream, rules, e);
    } else {
        x->expects_continue = framing.expects_continue;
        is_tunnel = answer(stream, rules) || is_tunnel;
    }
    if (!is_tunnel)
        x->facts.received = stream->body.received;
    body_drop(x->response.body);
    scope_end(&x->scope);
    body_drop(x->request.body);
    body_drop(&stream->body.body);
}

static void run_stream(void *argument)
{
    struct h2_stream *stream = argument;
    struct h2_session *session = stream->session;
    stream->carrier.fiber = fiber_current();
    if (stream->carrier.is_broken)
        fiber_cancel(stream->carrier.fiber);
    const struct server_rules *rules =
        serving_begin(&stream->carrier, &stream->x, session->connection->wire.stream, &hooks);
    serve(stream, rules);
    reset(stream, NGHTTP2_NO_ERROR); /* what the client has yet to send, nobody wants (§8.1) */
    serving_end(&stream->x, false);
    h2_stream_free(stream);
    h2_output_push(session);
}

/* --- its life */

struct h2_stream *h2_stream_new(struct h2_session *session, int32_t id)
{
    struct h2_stream *stream = malloc(sizeof *stream + FIRST_BLOCK);
    if (!stream)
        return NULL;
    struct server *server = session->connection->carrier.server;
    struct exchange *x = &stream->x;
    memset(stream, 0, offsetof(struct h2_stream, x) + offsetof(struct exchange, peer));
    stream->carrier.server = server;
    stream->carrier.entrance = session->connection->carrier.entrance;
    stream->session = session;
    stream->id = id;
    stream->is_open = true;
    arena_init(&x->arena, FIRST_BLOCK, ARENA_LIMIT);
    arena_lend(&x->arena, stream->block, FIRST_BLOCK);
    fields_init(&x->request.fields, &x->arena);
    h2_request_begin(&stream->head, &x->request, &server->ops->rules(server)->limits);
    stream->body.stream = stream;
    list_push_front(&session->streams, &stream->node);
    session->stream_count++;
    h2_tally(&server->h2_streams, 1);
    return stream;
}

enum status h2_stream_begin(struct h2_stream *stream)
{
    enum status e = scope_start(&stream->session->exchanges, run_stream, stream);
    stream->has_begun = !e;
    if (!e)
        stream->session->connection->requests++;
    return e;
}

void h2_stream_closed(struct h2_stream *stream)
{
    stream->is_open = false;
    if (!stream->has_begun) {
        h2_stream_free(stream);
        return;
    }
    h2_body_fail(&stream->body, CLOSED);
    if (stream->tunnel)
        h2_tunnel_lose(stream->tunnel);
    else if (!stream->answer.is_sent && stream->body.failure != BAD_FRAMING)
        serving_break(&stream->carrier);
    if (stream->waiter)
        fiber_wake(stream->waiter);
}

void h2_stream_free(struct h2_stream *stream)
{
    struct h2_session *session = stream->session;
    if (stream->is_open)
        nghttp2_session_set_stream_user_data(session->nghttp2, stream->id, NULL);
    if (!stream->has_begun)
        arena_release(&stream->x.arena);
    list_remove(&stream->node);
    session->stream_count--;
    h2_tally(&stream->carrier.server->h2_streams, -1);
    if (stream->has_begun && !session->stream_count)
        connection_rest(session->connection);
    free(stream);
    wait_queue_wake_all(&session->changed);
}
