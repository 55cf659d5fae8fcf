#include "gateway/h2_connection.h"

#include <stdlib.h>

#include "gateway/h2_state.h"
#include "run/loop.h"

#define READ_MOST    ((size_t)64 * 1024)
#define TICK         SECOND               /* how often a fiber that waits for bytes looks around */
#define GOODBYE_TIME SECOND               /* for a client to hear that it should go */
#define LAST_WORDS   (1 * SECOND)         /* to write what is left */
#define QUEUE_MOST   1024                 /* frames that wait while the client takes nothing */
#define UNSENT_MOST  ((size_t)256 * 1024) /* bytes of answers that wait in the kernel meanwhile */

static struct server *server_of(const struct h2_session *session)
{
    return session->connection->carrier.server;
}

static struct h2_session *new_session(struct connection *connection)
{
    struct h2_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->connection = connection;
    session->head_since = session->goodbye_since = NEVER;
    session->frame_left = H2_PREFACE;
    list_init(&session->streams);
    scope_init(&session->exchanges);
    scope_init(&session->senders);
    wait_queue_init(&session->changed);
    if (h2_events_begin(session)) {
        nghttp2_session_del(session->nghttp2);
        free(session);
        return NULL;
    }
    stream_bound_unsent(connection->wire.stream, UNSENT_MOST);
    h2_tally(&server_of(session)->h2_connections, 1);
    return session;
}

void h2_connection_release(struct connection *connection)
{
    struct h2_session *session = connection->h2;
    if (!session)
        return;
    h2_tally(&server_of(session)->h2_connections, -1);
    nghttp2_session_del(session->nghttp2);
    buffer_give(session->output);
    free(session);
    connection->h2 = NULL;
}

/* --- goodbye, in two steps (RFC 9113 §6.8): the client shall send nothing new; when it has heard
 * that, what came until then is the last */

static void say_goodbye(struct h2_session *session)
{
    if (session->goodbye_since != NEVER)
        return;
    session->goodbye_since = loop_now();
    nghttp2_submit_shutdown_notice(session->nghttp2);
}

static void say_last(struct h2_session *session)
{
    if (session->is_goodbye_final)
        return;
    session->is_goodbye_final = true;
    nghttp2_submit_goaway(session->nghttp2, NGHTTP2_FLAG_NONE,
        nghttp2_session_get_last_proc_stream_id(session->nghttp2), NGHTTP2_NO_ERROR, NULL, 0);
}

void h2_connection_drain(struct connection *connection)
{
    struct h2_session *session = connection->h2;
    if (!session)
        return;
    say_goodbye(session);
    list_each (node, &session->streams) {
        if (server_of(session)->is_draining)
            serving_drain(&list_entry(node, struct h2_stream, node)->carrier);
    }
    h2_output_push(session);
}

/* Whether it is time for one, or for its second half. */
static void part(struct h2_session *session)
{
    struct connection *connection = session->connection;
    int64_t most = h2_options(session)->requests_max;
    if (connection->is_unwanted || server_of(session)->is_draining ||
        (most && connection->requests >= (uint64_t)most))
        say_goodbye(session);
    if (!session->stream_count && loop_now() >= connection->idle_until)
        connection->is_idle_too_long = true;
    if (connection->is_idle_too_long)
        say_last(session);
    if (session->goodbye_since != NEVER &&
        (session->is_goodbye_heard || loop_now() >= session->goodbye_since + GOODBYE_TIME))
        say_last(session);
}

/* --- reading */

static void ended_by(struct h2_session *session, int error)
{
    if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        h2_flooded(session, H2_CONTINUATIONS);
    else if (error == NGHTTP2_ERR_FLOODED)
        h2_flooded(session, H2_SETTINGS);
    session->is_ended = true;
}

static void feed(struct h2_session *session, struct slice bytes)
{
    h2_count_frames(session, bytes);
    while (bytes.size && !session->is_ended && !session->failure) {
        session->begun = 0;
        ssize_t size =
            nghttp2_session_mem_recv(session->nghttp2, (const uint8_t *)bytes.data, bytes.size);
        if (size < 0)
            ended_by(session, (int)size);
        else
            bytes = slice_from(bytes, (size_t)size);
        h2_output_push(session);
        fiber_give_way();
    }
}

/* What was read to find out that this is HTTP/2. */
static void feed_early(struct h2_session *session)
{
    struct wire *wire = &session->connection->wire;
    struct slice bytes = wire_unread(wire);
    if (!bytes.size)
        return;
    feed(session, bytes);
    wire_skip(wire, bytes.size);
}

/* A client that makes us say more than it takes is not listened to meanwhile. */
static enum status wait_for_client_to_take(struct h2_session *session)
{
    while (nghttp2_session_get_outbound_queue_size(session->nghttp2) > QUEUE_MOST) {
        if (!session->is_sending)
            return OK;
        enum status e = wait_queue_wait(&session->changed, NEVER);
        if (e)
            return e;
    }
    return OK;
}

static bool is_head_late(const struct h2_session *session)
{
    return session->head_since != NEVER &&
           loop_now() >= clock_after(session->head_since, h2_options(session)->head_timeout);
}

static enum status read_some(struct h2_session *session)
{
    struct stream *stream = session->connection->wire.stream;
    size_t size;
    enum status e = wait_for_client_to_take(session);
    if (!e)
        e = stream_wait_readable(stream, loop_now() + TICK);
    if (e)
        return e == TIMEOUT && !is_head_late(session) ? OK : e;
    struct buffer *buffer = buffer_take();
    if (!buffer)
        return NO_MEMORY;
    size_t most = buffer->capacity < READ_MOST ? buffer->capacity : READ_MOST;
    e = stream_read(stream, buffer->data, most, loop_now() + TICK, &size);
    if (!e)
        feed(session, slice_of(buffer->data, size));
    buffer_give(buffer);
    if (e == TIMEOUT)
        e = OK;
    return e ? e : is_head_late(session) ? TIMEOUT : OK;
}

/* A client that has only finished sending still gets its answers; to what is, or is to be, a tunnel
 * it cannot even say goodbye any more. */
static enum status wait_for_streams(struct h2_session *session)
{
    enum status e = OK;
    list_each (node, &session->streams) {
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        if (slice_equal(stream->head.method, SLICE("CONNECT")))
            h2_body_fail(&stream->body, CLOSED);
    }
    while (!e && session->stream_count)
        e = wait_queue_wait(&session->changed, NEVER);
    return e;
}

/* --- the whole */

static bool is_over(const struct h2_session *session)
{
    if (session->is_ended || session->failure)
        return true;
    if (session->is_goodbye_final && !session->stream_count)
        return true;
    return !nghttp2_session_want_read(session->nghttp2);
}

/* Whoever has begun a head, or is being asked to go, is waited for on the fiber. */
static bool is_idle(struct h2_session *session)
{
    return !session->stream_count && !session->is_sending && session->head_since == NEVER &&
           session->goodbye_since == NEVER && stream_is_quiet(session->connection->wire.stream);
}

static void end_stream(struct h2_stream *stream, bool is_cut)
{
    stream->is_told = true;
    if (!stream->has_begun)
        h2_stream_free(stream);
    else if (is_cut)
        fiber_cancel(stream->carrier.fiber);
    else if (stream->tunnel)
        h2_tunnel_lose(stream->tunnel);
    else
        serving_break(&stream->carrier);
}

/* False when all have been told that this is the end: those stand behind the others. */
static bool end_some_streams(struct h2_session *session, bool is_cut)
{
    for (int i = 0; i < H2_TURN && !list_is_empty(&session->streams); i++) {
        struct list *node = session->streams.next;
        struct h2_stream *stream = list_entry(node, struct h2_stream, node);
        if (stream->is_told)
            return false;
        list_remove(node);
        list_push_back(&session->streams, node);
        end_stream(stream, is_cut);
    }
    return !list_is_empty(&session->streams);
}

/* Streams whose client is gone are given up; one that is cut off by a stop is told so. */
static void end_streams(struct h2_session *session, bool is_cut)
{
    while (end_some_streams(session, is_cut))
        fiber_give_way();
    (void)scope_wait(&session->exchanges, NEVER);
}

static void end_session(struct h2_session *session, enum status e)
{
    bool is_gone = e == CLOSED || e == IO_ERROR || session->failure;
    bool is_cut = e == CANCELLED && !session->failure && server_of(session)->is_draining;
    bool is_hostile = session->is_ended || e == TIMEOUT;
    fiber_shield();
    if (e == TIMEOUT)
        h2_flooded(session, H2_SLOW_HEADS);
    else if (!session->is_ended)
        say_last(session);
    end_streams(session, is_cut);
    if (!is_gone) {
        h2_output_wait(session, loop_now() + LAST_WORDS);
        connection_linger(session->connection, is_hostile);
    }
    scope_end(&session->senders);
    fiber_unshield();
}

/* The client is gone: what it has sent is not worth looking at any more. */
static void broken(void *argument)
{
    struct h2_session *session = argument;
    session->failure = CLOSED;
    fiber_cancel(session->connection->carrier.fiber);
}

static enum status serve(struct h2_session *session)
{
    enum status e = OK;
    stream_on_break(session->connection->wire.stream, broken, session);
    if (!session->failure)
        feed_early(session);
    h2_output_push(session);
    while (!e) {
        part(session);
        h2_output_push(session);
        if (is_over(session))
            return END;
        if (is_idle(session))
            return OK;
        e = read_some(session);
    }
    if (e == END && session->stream_count)
        e = wait_for_streams(session);
    return e ? e : END;
}

bool h2_connection_serve(struct connection *connection)
{
    if (!connection->h2)
        connection->h2 = new_session(connection);
    struct h2_session *session = connection->h2;
    if (!session)
        return false;
    enum status e = serve(session);
    if (e)
        end_session(session, e);
    stream_on_break(connection->wire.stream, NULL, NULL);
    return !e;
}
