/* A stream that has become a tunnel (RFC 8441): what DATA frames carry, both ways, as a stream of
 * bytes like any other (run/stream.h). Its end is END_STREAM, its breaking RST_STREAM, and its
 * back-pressure the window. */
#include "gateway/h2_state.h"
#include "run/loop.h"
#include "run/parking.h"

#define LAST_WORDS (1 * SECOND) /* to write what is left, and for the client to end its side */

struct h2_tunnel {
    struct stream stream;      /* first */
    struct h2_stream *carrier; /* borrowed: whose DATA it is */
    struct parking parking;
    stream_callback *on_break; /* NULL: nobody asked */
    void *break_argument;
    bool is_lost;
};

static struct h2_tunnel *self_of(struct stream *stream)
{
    return (struct h2_tunnel *)stream;
}

static struct stream *below(const struct stream *stream)
{
    const struct h2_tunnel *self = (const struct h2_tunnel *)stream;
    return self->carrier->session->connection->wire.stream;
}

/* --- from the client */

static enum status wait_readable(struct stream *stream, instant deadline)
{
    return h2_body_wait(&self_of(stream)->carrier->body, deadline);
}

static enum status read_bytes(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    enum status e = wait_readable(stream, deadline);
    return e ? e : h2_body_take(&self_of(stream)->carrier->body, data, capacity, ret_size);
}

static bool is_quiet(struct stream *stream)
{
    return !h2_body_has_news(&self_of(stream)->carrier->body);
}

/* --- to the client */

static bool can_send(const struct h2_tunnel *self)
{
    return self->carrier->is_open && !self->carrier->is_reset && !self->is_lost;
}

/* The bytes stay where they are until they are in frames, or nobody waits for that any more. */
static enum status write_part(
    struct h2_tunnel *self, struct slice part, instant deadline, size_t *size)
{
    struct h2_stream *carrier = self->carrier;
    struct h2_answer *answer = &carrier->answer;
    uint64_t before = answer->sent;
    enum status e = OK;
    if (!can_send(self) || answer->is_last)
        return CLOSED;
    answer->pending = part;
    nghttp2_session_resume_data(carrier->session->nghttp2, carrier->id);
    h2_output_push(carrier->session);
    while (!e && answer->pending.size && can_send(self)) {
        carrier->waiter = fiber_current();
        e = fiber_wait(deadline);
        carrier->waiter = NULL;
    }
    bool is_whole = answer->pending.size == 0;
    answer->pending = SLICE_NONE;
    *size += (size_t)(answer->sent - before);
    return is_whole ? OK : e ? e : CLOSED;
}

static enum status write_parts(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    size_t size = 0;
    enum status e = OK;
    for (int i = 0; !e && i < count; i++)
        if (parts[i].iov_len)
            e = write_part(
                self_of(stream), slice_of(parts[i].iov_base, parts[i].iov_len), deadline, &size);
    if (ret_size)
        *ret_size = size;
    return e;
}

static enum status end_sending(struct stream *stream)
{
    struct h2_tunnel *self = self_of(stream);
    struct h2_stream *carrier = self->carrier;
    if (!can_send(self))
        return CLOSED;
    if (carrier->answer.is_last)
        return OK;
    carrier->answer.is_last = true;
    nghttp2_session_resume_data(carrier->session->nghttp2, carrier->id);
    h2_output_push(carrier->session);
    return OK;
}

/* --- parked */

void h2_tunnel_stir(struct h2_tunnel *tunnel)
{
    parking_stir(&tunnel->parking);
}

static void park(struct stream *stream, stream_callback *call, void *argument)
{
    struct h2_tunnel *self = self_of(stream);
    parking_begin(&self->parking, call, argument);
    if (!is_quiet(stream))
        h2_tunnel_stir(self);
}

static void unpark(struct stream *stream)
{
    parking_end(&self_of(stream)->parking);
}

/* --- broken */

static void tell_break(struct h2_tunnel *self)
{
    stream_callback *call = self->on_break;
    self->on_break = NULL;
    if (call)
        call(self->break_argument);
}

static void on_break(struct stream *stream, stream_callback *call, void *argument)
{
    struct h2_tunnel *self = self_of(stream);
    self->on_break = call;
    self->break_argument = argument;
    if (self->is_lost)
        tell_break(self);
}

void h2_tunnel_lose(struct h2_tunnel *tunnel)
{
    tunnel->is_lost = true;
    if (tunnel->carrier->waiter)
        fiber_wake(tunnel->carrier->waiter);
    h2_body_fail(&tunnel->carrier->body, CLOSED);
    tell_break(tunnel);
}

/* --- the whole */

/* The connection below is its protocol's. */
static void close_nothing(struct stream *stream)
{
    unpark(stream);
}

static int release(struct stream *stream)
{
    (void)stream;
    return -1;
}

static const struct address *peer_of(const struct stream *stream)
{
    return stream_peer(below(stream));
}

static const struct address *local_of(const struct stream *stream)
{
    return stream_local(below(stream));
}

static const struct stream_ops ops = {.wait_readable = wait_readable,
    .read = read_bytes,
    .writev = write_parts,
    .shutdown = end_sending,
    .is_quiet = is_quiet,
    .park = park,
    .unpark = unpark,
    .on_break = on_break,
    .close = close_nothing,
    .peer = peer_of,
    .local = local_of,
    .release = release};

/* A client that ends its own side soon need not be told to by a reset. */
static enum status end_both_sides(struct h2_stream *stream, struct h2_tunnel *tunnel)
{
    struct h2_body *body = &stream->body;
    enum status e = end_sending(&tunnel->stream);
    if (!e)
        e = h2_stream_wait(stream, LAST_WORDS, true);
    if (e)
        return e;
    body_drop(&body->body);
    instant until = loop_now() + LAST_WORDS;
    while (!e && !body->has_ended && !body->failure)
        e = h2_body_wait(body, until);
    return OK;
}

enum status h2_tunnel_run(struct h2_stream *stream)
{
    struct h2_tunnel tunnel = {.stream.ops = &ops, .carrier = stream};
    struct wire wire;
    parking_init(&tunnel.parking);
    wire_init(&wire, &tunnel.stream);
    stream->tunnel = &tunnel;
    serving_run_tunnel(&stream->x, &wire);
    wire_release(&wire);
    enum status e = stream->x.is_torn ? CLOSED : end_both_sides(stream, &tunnel);
    stream->tunnel = NULL;
    return e;
}
