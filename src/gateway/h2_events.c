/* What nghttp2 tells: heads, bodies and ends of streams, and whatever a flood may be made of.
 *
 * Its own checks of messages are off (NGHTTP2's "HTTP messaging"): it would quietly drop fields
 * that must make a request fail. http/h2_request.h has them all. What it does bound by itself is
 * SETTINGS with very many entries, and acknowledgements that a client does not take. */
#include <stdatomic.h>

#include "base/structured_field.h"
#include "gateway/h2_state.h"
#include "run/loop.h"

#define FIELD_COSTS  32 /* bytes, beside its name and value (RFC 9113 §6.5.2) */
#define UPDATE_BYTES 8  /* of an answer's body, about what a small message takes */

/* --- floods */

void h2_flooded(struct h2_session *session, enum h2_flood flood)
{
    struct server *server = session->connection->carrier.server;
    if (session->is_ended)
        return;
    session->is_ended = true;
    atomic_fetch_add_explicit(&server->h2_floods[flood], 1, memory_order_relaxed);
    nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_count(struct h2_session *session, enum h2_flood flood)
{
    struct flood_count *seen = &session->floods[flood];
    const struct rate *rate = &h2_options(session)->http2.rates[flood];
    if (loop_now() - seen->since >= rate->per)
        *seen = (struct flood_count){.since = loop_now()};
    if (++seen->count > rate->count)
        h2_flooded(session, flood);
}

/* What was sent to a client entitles it to open its windows: that of the stream and that of the
 * connection for each frame, and more often where a frame has many small messages (clients of gRPC
 * do so for each). Who is sent little may say little. */
static void entitle(struct h2_session *session, size_t length)
{
    session->updates_due += 2 + length / UPDATE_BYTES;
}

static void count_update(struct h2_session *session)
{
    if (session->updates_due)
        session->updates_due--;
    else
        h2_count(session, H2_UPDATES);
}

/* --- priorities (RFC 9218) */

/* What cannot be read is ignored (§4). */
static void take_priority(struct h2_stream *stream, struct slice text)
{
    struct structured_member *first;
    nghttp2_extpri priority = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY};
    if (structured_parse_dictionary(&stream->x.arena, text, &first))
        return;
    const struct structured_member *urgency = structured_get(first, SLICE("u"));
    const struct structured_member *incremental = structured_get(first, SLICE("i"));
    if (urgency && urgency->value.type == STRUCTURED_INTEGER && urgency->value.number >= 0 &&
        urgency->value.number < NGHTTP2_EXTPRI_URGENCY_LEVELS)
        priority.urgency = (uint32_t)urgency->value.number;
    if (incremental && incremental->value.type == STRUCTURED_BOOLEAN)
        priority.inc = incremental->value.number != 0;
    nghttp2_session_change_extpri_stream_priority(
        stream->session->nghttp2, stream->id, &priority, 0);
}

/* --- heads */

static struct h2_stream *stream_of(nghttp2_session *nghttp2, int32_t id)
{
    return nghttp2_session_get_stream_user_data(nghttp2, id);
}

static void reset(struct h2_session *session, int32_t id, uint32_t code)
{
    nghttp2_submit_rst_stream(session->nghttp2, NGHTTP2_FLAG_NONE, id, code);
}

/* Streams that were reset count until their exchange has ended: otherwise the bound would be none.
 */
static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *session = user_data;
    session->head_since = loop_now();
    session->head_decoded = 0;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    int64_t most = h2_options(session)->http2.streams_max;
    struct h2_stream *stream = NULL;
    if (session->stream_count < (uint64_t)most && !session->is_ended)
        stream = h2_stream_new(session, frame->hd.stream_id);
    if (stream)
        nghttp2_session_set_stream_user_data(nghttp2, frame->hd.stream_id, stream);
    else
        reset(session, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    return 0;
}

/* A header section that is too large is decoded to its end, since the table that compresses heads
 * is the connection's; but one of a thousand times the bytes that were sent is no mistake. */
static bool is_bomb(struct h2_session *session, size_t size)
{
    session->head_decoded += size + FIELD_COSTS;
    if (session->head_decoded <= (uint64_t)h2_options(session)->http2.decoded_max)
        return false;
    h2_flooded(session, H2_LARGE_HEADS);
    return true;
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *user_data)
{
    struct h2_stream *stream = stream_of(nghttp2, frame->hd.stream_id);
    struct slice name_text = slice_of((const char *)name, name_size);
    struct slice value_text = slice_of((const char *)value, value_size);
    (void)flags;
    if (is_bomb(user_data, name_size + value_size))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!stream)
        return 0;
    if (stream->has_begun)
        h2_body_put_trailer(&stream->body, name_text, value_text);
    else
        h2_request_field(&stream->head, name_text, value_text);
    return ((struct h2_session *)user_data)->begun < H2_TURN ? 0 : NGHTTP2_ERR_PAUSE;
}

static void head_has_come(struct h2_stream *stream, bool is_end)
{
    stream->is_end = is_end;
    if (stream->head.failure == FIELDS_TOO_LARGE)
        h2_count(stream->session, H2_LARGE_HEADS);
    if (is_end)
        (void)h2_body_end(&stream->body);
    struct slice priority = fields_value_named(&stream->x.request.fields, SLICE("priority"));
    if (priority.data)
        take_priority(stream, priority);
    stream->session->begun++;
    if (h2_stream_begin(stream))
        reset(stream->session, stream->id, NGHTTP2_REFUSED_STREAM);
}

/* A second header section is that of the trailers, and the message must end with it (§8.1). */
static void trailers_have_come(struct h2_stream *stream, bool is_end)
{
    if (!is_end)
        h2_body_fail(&stream->body, BAD_FRAMING);
    if (!is_end || !h2_body_end(&stream->body))
        reset(stream->session, stream->id, NGHTTP2_PROTOCOL_ERROR);
}

static void headers_have_come(struct h2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *stream = stream_of(session->nghttp2, frame->hd.stream_id);
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    session->head_since = NEVER;
    if (stream && stream->has_begun)
        trailers_have_come(stream, is_end);
    else if (stream)
        head_has_come(stream, is_end);
}

/* --- bodies */

static int on_data_chunk(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *data,
    size_t size, void *user_data)
{
    struct h2_session *session = user_data;
    struct h2_stream *stream = stream_of(nghttp2, id);
    (void)flags;
    if (!stream)
        nghttp2_session_consume(nghttp2, id, size);
    else if (!h2_body_put(&stream->body, slice_of((const char *)data, size)))
        reset(session, id, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static void data_has_come(struct h2_session *session, const nghttp2_frame *frame)
{
    struct h2_stream *stream = stream_of(session->nghttp2, frame->hd.stream_id);
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (!is_end && frame->hd.length && frame->hd.length <= frame->data.padlen)
        h2_count(session, H2_EMPTY_FRAMES);
    if (stream && is_end && !h2_body_end(&stream->body))
        reset(session, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
}

/* --- all frames */

static int on_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *session = user_data;
    (void)nghttp2;
    if (frame->hd.type == NGHTTP2_HEADERS)
        headers_have_come(session, frame);
    else if (frame->hd.type == NGHTTP2_DATA)
        data_has_come(session, frame);
    else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        session->is_goodbye_heard = session->goodbye_since != NEVER;
    return 0;
}

static int on_begin_frame(nghttp2_session *nghttp2, const nghttp2_frame_hd *head, void *user_data)
{
    struct h2_session *session = user_data;
    (void)nghttp2;
    if (head->type != NGHTTP2_CONTINUATION)
        session->head_since = NEVER;
    return 0;
}

/* Those of types that nobody knows are ignored (§5.5), but cost something. */
static void count_frame(struct h2_session *session, uint8_t type, uint8_t flags)
{
    switch (type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        break;
    case NGHTTP2_DATA:
        if (session->frame_left == 0 && !(flags & NGHTTP2_FLAG_END_STREAM))
            h2_count(session, H2_EMPTY_FRAMES);
        break;
    case NGHTTP2_SETTINGS:
        if (!(flags & NGHTTP2_FLAG_ACK))
            h2_count(session, H2_SETTINGS);
        break;
    case NGHTTP2_PING:
        if (!(flags & NGHTTP2_FLAG_ACK))
            h2_count(session, H2_PINGS);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        count_update(session);
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_PRIORITY_UPDATE:
        h2_count(session, H2_PRIORITIES);
        break;
    case NGHTTP2_RST_STREAM:
        h2_count(session, H2_RESETS);
        break;
    default:
        h2_count(session, H2_EMPTY_FRAMES);
    }
}

/* nghttp2 does not tell of all frames: those that it ignores, it ignores in silence. */
void h2_count_frames(struct h2_session *session, struct slice bytes)
{
    for (size_t at = 0; at < bytes.size && !session->is_ended;) {
        if (session->frame_left) {
            size_t rest = bytes.size - at;
            size_t size = rest < session->frame_left ? rest : session->frame_left;
            session->frame_left -= (uint32_t)size;
            at += size;
            continue;
        }
        uint8_t *head = session->frame_head;
        struct slice part =
            slice_head(slice_from(bytes, at), (size_t)(H2_FRAME_HEAD - session->frame_have));
        memcpy(head + session->frame_have, part.data, part.size);
        session->frame_have += (uint8_t)part.size;
        at += part.size;
        if (session->frame_have < H2_FRAME_HEAD)
            continue;
        session->frame_have = 0;
        session->frame_left = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
        count_frame(session, head[3], head[4]);
    }
}

/* Resets that the client brought about by what it sent count as its own (CVE-2025-8671). */
static bool is_clients_fault(uint32_t code)
{
    return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR ||
           code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR ||
           code == NGHTTP2_REFUSED_STREAM;
}

static const uint8_t goodbye[8] = "goodbye";

static int on_sent(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user_data)
{
    struct h2_session *session = user_data;
    entitle(session, frame->hd.type == NGHTTP2_DATA ? frame->hd.length : 0);
    /* PING goes before everything else that waits: only now would it come behind the notice. */
    if (frame->hd.type == NGHTTP2_GOAWAY && !session->is_goodbye_final)
        nghttp2_submit_ping(nghttp2, NGHTTP2_FLAG_NONE, goodbye);
    if (frame->hd.type == NGHTTP2_RST_STREAM && is_clients_fault(frame->rst_stream.error_code))
        h2_count(session, H2_RESETS);
    bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    struct h2_stream *stream = ends ? stream_of(nghttp2, frame->hd.stream_id) : NULL;
    if (!stream)
        return 0;
    stream->answer.is_sent = true;
    if (stream->waiter)
        fiber_wake(stream->waiter);
    return 0;
}

static int on_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *user_data)
{
    struct h2_stream *stream = stream_of(nghttp2, id);
    (void)code;
    (void)user_data;
    if (stream)
        h2_stream_closed(stream);
    return 0;
}

/* --- the session */

static enum status set_callbacks(nghttp2_session_callbacks **ret_callbacks)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        return NO_MEMORY;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_output_data);
    *ret_callbacks = callbacks;
    return OK;
}

/* Resets are counted here, with those that the client brings about, so nghttp2's own bound is put
 * out of the way. */
static enum status set_options(const struct http2_options *http2, nghttp2_option **ret_option)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option))
        return NO_MEMORY;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_continuations(option, (size_t)http2->continuations_max);
    nghttp2_option_set_stream_reset_rate_limit(option, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
    *ret_option = option;
    return OK;
}

static int submit_settings(struct h2_session *session)
{
    const struct http_options *http = h2_options(session);
    const struct http2_options *http2 = &http->http2;
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)http2->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)http2->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)http->head_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}, {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
    int e = nghttp2_submit_settings(
        session->nghttp2, NGHTTP2_FLAG_NONE, entries, sizeof entries / sizeof *entries);
    return e ? e
             : nghttp2_session_set_local_window_size(
                   session->nghttp2, NGHTTP2_FLAG_NONE, 0, (int32_t)http2->connection_window);
}

enum status h2_events_begin(struct h2_session *session)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    enum status e = set_callbacks(&callbacks);
    if (e)
        return e;
    e = set_options(&h2_options(session)->http2, &option);
    if (!e) {
        if (nghttp2_session_server_new2(&session->nghttp2, callbacks, session, option))
            e = NO_MEMORY;
        nghttp2_option_del(option);
    }
    nghttp2_session_callbacks_del(callbacks);
    return e ? e : submit_settings(session) ? NO_MEMORY : OK;
}
