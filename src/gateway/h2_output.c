/* Frames on their way to the client. Whoever has something to send pushes: frames go from nghttp2
 * into one buffer, and a fiber writes that out. It runs after all others that are ready, so that
 * what they have to say at about the same moment leaves in one system call. When the client takes
 * nothing the buffer fills up, and those who have more to send wait. */
#include "gateway/h2_state.h"
#include "run/loop.h"

#define ROOM_LEAST ((size_t)1024) /* less is not worth a frame */

static size_t room(const struct h2_session *session)
{
    return session->output->capacity - session->end;
}

static void put(struct h2_session *session, const void *data, size_t size)
{
    if (size == 0) /* then `data` may be NULL, which memcpy must not be given */
        return;
    memcpy(session->output->data + session->end, data, size);
    session->end += size;
}

/* False when a part of it is left. */
static bool put_left(struct h2_session *session)
{
    struct slice part = slice_head(session->left, room(session));
    put(session, part.data, part.size);
    session->left = slice_from(session->left, part.size);
    return session->left.size == 0;
}

int h2_output_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head,
    size_t length, nghttp2_data_source *source, void *user_data)
{
    struct h2_session *session = user_data;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(nghttp2, frame->hd.stream_id);
    (void)source;
    if (!stream || stream->answer.pending.size < length) /* given up meanwhile */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (room(session) < H2_FRAME_HEAD + length)
        return NGHTTP2_ERR_WOULDBLOCK;
    struct h2_answer *answer = &stream->answer;
    put(session, head, H2_FRAME_HEAD);
    put(session, answer->pending.data, length);
    answer->pending = slice_from(answer->pending, length);
    answer->sent += length;
    if (answer->pending.size == 0 && stream->waiter)
        fiber_wake(stream->waiter);
    return 0;
}

/* From nghttp2 into the buffer. */
static enum status gather(struct h2_session *session)
{
    if (session->failure)
        return session->failure;
    if (!session->output && !session->left.size && !nghttp2_session_want_write(session->nghttp2))
        return OK;
    if (!session->output && !(session->output = buffer_take()))
        return NO_MEMORY;
    for (;;) {
        if (session->left.size && !put_left(session))
            return OK;
        if (room(session) < ROOM_LEAST)
            return OK;
        const uint8_t *data;
        ssize_t size = nghttp2_session_mem_send(session->nghttp2, &data);
        if (size <= 0)
            return size == 0 ? OK : NO_MEMORY;
        session->left = slice_of((const char *)data, (size_t)size);
    }
}

/* Goes on as long as each `body-timeout` lets some bytes through. */
static enum status write_out(struct h2_session *session)
{
    while (session->begin < session->end) {
        size_t written = 0;
        instant until = clock_after(loop_now(), h2_options(session)->body_timeout);
        enum status e = stream_write(session->connection->wire.stream,
            session->output->data + session->begin, session->end - session->begin, until, &written);
        session->begin += written;
        if (e && (e != TIMEOUT || written == 0))
            return e;
    }
    session->begin = session->end = 0;
    return OK;
}

/* Nobody will hear from us any more; the connection's fiber ends it. */
static void give_up(struct h2_session *session, enum status e)
{
    session->failure = e;
    if (e == TIMEOUT)
        h2_flooded(session, H2_STALLS);
    if (session->connection->carrier.fiber)
        fiber_cancel(session->connection->carrier.fiber);
}

static void run_sender(void *argument)
{
    struct h2_session *session = argument;
    enum status e = gather(session);
    while (!e && session->begin < session->end) {
        e = write_out(session);
        wait_queue_wake_all(&session->changed);
        if (!e)
            e = gather(session);
    }
    buffer_give(session->output);
    session->output = NULL;
    session->begin = session->end = 0;
    session->is_sending = false;
    if (e)
        give_up(session, e);
    wait_queue_wake_all(&session->changed);
}

void h2_output_push(struct h2_session *session)
{
    enum status e = gather(session);
    if (!e && session->begin < session->end && !session->is_sending) {
        e = scope_start(&session->senders, run_sender, session);
        session->is_sending = !e;
    }
    if (e && !session->failure)
        give_up(session, e);
}

void h2_output_wait(struct h2_session *session, instant deadline)
{
    h2_output_push(session);
    while (session->is_sending && wait_queue_wait(&session->changed, deadline) == OK)
        continue;
}
