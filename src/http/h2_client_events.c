/* What the session tells: frames that came, and those that go. */
#include "http/h1_chunk.h"
#include "http/h2_client_state.h"

#define HEADS_MAX 64 /* interim heads of one answer, however fast they are read */

static struct h2_call *call_of(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* The stream is reset, and the call told why. */
static int refuse(struct h2_call *call, enum status failure)
{
    if (!call->failure)
        call->failure = failure;
    h2_call_note(call);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- heads */

static int begin_head(struct h2_call *call, const struct h1_limits *limits)
{
    struct h2_head *head = arena_new(call->arena, struct h2_head);
    if (!head)
        return refuse(call, NO_MEMORY);
    if (++call->head_count > HEADS_MAX)
        return refuse(call, UPSTREAM_PROTOCOL);
    head->budget = (struct h2_budget){limits->head, limits->fields};
    fields_init(&head->response.fields, call->arena);
    if (call->last_head)
        call->last_head->next = head;
    else
        call->heads = head;
    call->last_head = head;
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct h2_client *client = argument;
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    if (!call)
        return 0;
    call->is_answered = true;
    if (!call->has_final)
        return begin_head(call, client->options.limits);
    call->trailer_budget =
        (struct h2_budget){client->options.limits->trailers, client->options.limits->fields};
    call->has_trailers = true;
    fields_init(&call->received_trailers, call->arena);
    return 0;
}

static int take_trailer(struct h2_call *call, struct slice name, struct slice value)
{
    enum status e = h2_field_take(&call->received_trailers, &call->trailer_budget, name, value);
    if (!e)
        return 0;
    return refuse(call, e == FIELDS_TOO_LARGE ? TOO_LARGE : e == NO_MEMORY ? e : UPSTREAM_PROTOCOL);
}

static int take_field(struct h2_call *call, struct slice name, struct slice value)
{
    struct h2_head *head = call->last_head;
    uint64_t status;
    if (slice_equal(name, SLICE(":status")) && slice_to_u64(value, &status)) {
        if (status < 100 || status > 999)
            return refuse(call, UPSTREAM_PROTOCOL);
        head->response.status = (int)status;
        head->response.version = HTTP_2;
        call->has_final = status >= 200;
        return 0;
    }
    enum status e = h2_field_take(&head->response.fields, &head->budget, name, value);
    if (!e)
        return 0;
    if (e == NO_MEMORY)
        return refuse(call, e);
    return refuse(call, e == FIELDS_TOO_LARGE ? UPSTREAM_HEAD_TOO_LARGE : UPSTREAM_PROTOCOL);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *argument)
{
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    struct slice name_slice = slice_of((const char *)name, name_size);
    struct slice value_slice = slice_of((const char *)value, value_size);
    (void)flags, (void)argument;
    if (!call)
        return 0;
    if (call->has_trailers)
        return take_trailer(call, name_slice, value_slice);
    return take_field(call, name_slice, value_slice);
}

/* nghttp2 would leave the field out; a peer that sends such a thing is not to be trusted with the
 * rest. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
    void *argument)
{
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    (void)name, (void)name_size, (void)value, (void)value_size, (void)flags, (void)argument;
    return call ? refuse(call, UPSTREAM_PROTOCOL) : 0;
}

static int on_invalid_frame(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *argument)
{
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    (void)error, (void)argument;
    if (call)
        (void)refuse(call, UPSTREAM_PROTOCOL);
    return 0;
}

static void note_length(struct h2_call *call, const struct fields *fields)
{
    uint64_t length;
    struct slice value = fields_value(fields, FIELD_CONTENT_LENGTH);
    if (value.data && slice_to_u64(value, &length) && length <= INT64_MAX)
        call->length = (int64_t)length;
}

static void head_came(struct h2_call *call, bool ends)
{
    if (call->has_trailers) {
        h1_drop_forbidden_trailers(&call->received_trailers);
        call->trailers_whole = true;
    } else if (call->last_head) {
        call->last_head->is_whole = true;
        call->last_head->ends = ends;
        if (call->has_final)
            note_length(call, &call->last_head->response.fields);
    }
}

/* --- frames */

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct h2_client *client = argument;
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    switch (frame->hd.type) {
    case NGHTTP2_SETTINGS:
        client->is_settled = true;
        client->options.changed(client->options.owner);
        return 0;
    case NGHTTP2_GOAWAY:
        h2_client_tell(client, H2_GOODBYE, frame->goaway.error_code);
        client->options.changed(client->options.owner);
        h2_client_close(client);
        return 0;
    case NGHTTP2_HEADERS:
        if (call)
            head_came(call, ends);
        break;
    case NGHTTP2_RST_STREAM:
        h2_client_tell(client, H2_CALL_RESET, frame->rst_stream.error_code);
        if (call && !call->has_ended && !call->failure) {
            call->failure = UPSTREAM_RESET;
            call->reset = frame->rst_stream.error_code;
            call->is_unseen = frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM;
        }
        return 0;
    case NGHTTP2_DATA:
        break;
    default:
        return 0;
    }
    if (call && ends)
        call->has_ended = true;
    if (call)
        h2_call_note(call);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
    size_t size, void *argument)
{
    struct h2_call *call = call_of(session, id);
    (void)flags, (void)argument;
    if (nghttp2_session_consume_connection(session, size))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!call || call->failure)
        return 0;
    if (h2_call_store(call, slice_of((const char *)data, size))) {
        (void)refuse(call, NO_MEMORY);
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
    }
    h2_call_note(call);
    return 0;
}

/* Why a stream ended that nobody has given a reason for: the peer is about to go and has not seen
 * it, or nghttp2 has found that the message breaks a rule, most likely that of its length. */
static enum status reason_of(struct h2_call *call, uint32_t code)
{
    if (code == NGHTTP2_REFUSED_STREAM) {
        call->is_unseen = call->is_left = true;
        call->reset = code;
        return UPSTREAM_RESET;
    }
    return UPSTREAM_PROTOCOL;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
    struct h2_call *call = call_of(session, id);
    (void)argument;
    if (call)
        h2_call_fail(call, call->failure ? call->failure : reason_of(call, code));
    return 0;
}

/* --- what goes */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct h2_client *client = argument;
    bool is_error =
        frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR;
    if (is_error && !client->reason)
        client->reason = UPSTREAM_PROTOCOL;
    bool is_message = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (!is_message)
        return 0;
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    if (!call)
        return 0;
    call->is_begun = true;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        call->is_sent = true;
    if (call->sender)
        fiber_wake(call->sender);
    return 0;
}

/* Called again when there was no room, so that the call may have ended since or taken its bytes
 * back: then the stream is reset. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
    size_t size, nghttp2_data_source *source, void *argument)
{
    struct h2_client *client = argument;
    struct h2_call *call = call_of(session, frame->hd.stream_id);
    (void)source;
    if (!call || call->out.size < size)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (client->out->capacity - client->out_size < H2_FRAME_HEAD + size)
        return NGHTTP2_ERR_WOULDBLOCK;
    char *at = client->out->data + client->out_size;
    memcpy(at, head, H2_FRAME_HEAD);
    if (size)
        memcpy(at + H2_FRAME_HEAD, call->out.data, size);
    client->out_size += H2_FRAME_HEAD + size;
    call->out = slice_from(call->out, size);
    return 0;
}

enum status h2_client_events(nghttp2_session_callbacks **ret_callbacks)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        return NO_MEMORY;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    *ret_callbacks = callbacks;
    return OK;
}
