/*
 * The gRPC service behind the proxies: HTTP/2 in clear on one thread, with as little work a call as
 * it can do. Each call is answered with what it sent, and with status 0 in the trailers.
 *
 *     backend_grpc PORT
 */
#include "h2.h"

enum { MESSAGE_MOST = 1024, EVENTS = 512, STREAMS_MOST = 1000 };

struct call {
    size_t length; /* of the message with its prefix */
    size_t sent;
    uint8_t message[MESSAGE_MOST];
};

static struct call *call_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int begin_call(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct call *call = calloc(1, sizeof *call);
    (void)argument;
    if (call == NULL)
        die("calloc");
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

static int take_message(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t length, void *argument)
{
    struct call *call = call_of(session, id);
    (void)flags;
    (void)argument;
    if (call == NULL || length > MESSAGE_MOST - call->length)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    memcpy(call->message + call->length, bytes, length);
    call->length += length;
    return 0;
}

static ssize_t give_message(nghttp2_session *session, int32_t id, uint8_t *room, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *argument)
{
    struct call *call = source->ptr;
    size_t left = call->length - call->sent;
    size_t size = left < length ? left : length;
    (void)argument;
    memcpy(room, call->message + call->sent, size);
    call->sent += size;
    if (size == left) {
        nghttp2_nv trailer = h2_field("grpc-status", "0");
        *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, &trailer, 1);
    }
    return (ssize_t)size;
}

static int answer_call(nghttp2_session *session, const nghttp2_frame *frame, void *argument)
{
    struct call *call = call_of(session, frame->hd.stream_id);
    nghttp2_nv head[] = {h2_field(":status", "200"), h2_field("content-type", "application/grpc")};
    nghttp2_data_provider message = {.source.ptr = call, .read_callback = give_message};
    (void)argument;
    if (call == NULL || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &message);
}

static int end_call(nghttp2_session *session, int32_t id, uint32_t code, void *argument)
{
    (void)code;
    (void)argument;
    free(call_of(session, id));
    return 0;
}

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks))
        die("nghttp2");
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_call);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_message);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, answer_call);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, end_call);
    return callbacks;
}

static void accept_links(int epoll, int listener, const nghttp2_session_callbacks *callbacks)
{
    for (int fd = accept_one(listener); fd >= 0; fd = accept_one(listener)) {
        nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MOST}};
        struct h2_link *link = calloc(1, sizeof *link);
        if (link == NULL || nghttp2_session_server_new(&link->session, callbacks, link))
            die("calloc");
        link->fd = fd;
        nghttp2_submit_settings(link->session, NGHTTP2_FLAG_NONE, settings, 1);
        watch(epoll, fd, link);
    }
}

int main(int count, char **arguments)
{
    static uint8_t block[H2_BLOCK];
    struct epoll_event events[EVENTS];
    if (count != 2) {
        fprintf(stderr, "usage: backend_grpc PORT\n");
        return 2;
    }
    nghttp2_session_callbacks *callbacks = make_callbacks();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on((uint16_t)parse_number("port", arguments[1], 65535));
    raise_descriptor_limit();
    watch_listener(epoll, listener, NULL);
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct h2_link *link = events[i].data.ptr;
            if (link == NULL) {
                accept_links(epoll, listener, callbacks);
            } else if (!h2_drive(link, block)) {
                h2_close(link);
                free(link);
            }
        }
    }
}
