/*
 * The bare forwarder once more, in straight-line code on Weir's fibers and loop: what the run floor
 * alone costs over the epoll loop of bench/forwarding.h.
 *
 *     micro_fibers PORT BACKEND-PORT
 *
 * Small messages only: one that does not fit into one read is not understood here. A client that is
 * silent between requests is parked and has no fiber; an idle upstream is kept in a pool.
 */
#include <stdlib.h>

#include "net.h"

#include "base/must.h"
#include "run/address.h"
#include "run/buffer.h"
#include "run/loop.h"
#include "run/socket.h"

enum { POOL_MOST = 1024, WAIT_SECONDS = 30 };

struct forwarder {
    struct address upstream;
    struct acceptor *acceptor;      /* owned */
    struct stream *pool[POOL_MOST]; /* owned: idle upstream connections */
    size_t pooled;
};

struct client {
    struct forwarder *forwarder; /* borrowed */
    struct stream *stream;       /* owned */
};

static instant soon(void)
{
    return loop_now() + WAIT_SECONDS * SECOND;
}

static enum status take_upstream(struct forwarder *f, struct stream **ret_stream)
{
    while (f->pooled > 0) {
        struct stream *stream = f->pool[--f->pooled];
        if (stream_is_quiet(stream)) {
            *ret_stream = stream;
            return OK;
        }
        stream_close(stream);
    }
    return socket_connect(&f->upstream, NULL, soon(), ret_stream);
}

static void give_upstream(struct forwarder *f, struct stream *stream)
{
    if (f->pooled < POOL_MOST)
        f->pool[f->pooled++] = stream;
    else
        stream_close(stream);
}

/* Reads one message into a buffer and writes it on. The buffer is held only while it has bytes. */
static enum status move_message(struct stream *from, struct stream *to)
{
    struct head head;
    size_t length;
    enum status e = stream_wait_readable(from, soon());
    if (e)
        return e;
    struct buffer *buffer = buffer_take();
    if (!buffer)
        return NO_MEMORY;
    e = stream_read(from, buffer->data, buffer->capacity, soon(), &length);
    if (e == OK && (!head_parse(buffer->data, length, &head) || head.length + head.body != length))
        e = INVALID;
    if (e == OK)
        e = stream_write(to, buffer->data, length, soon(), NULL);
    buffer_give(buffer);
    return e;
}

static enum status exchange(struct client *c)
{
    struct stream *upstream;
    enum status e = take_upstream(c->forwarder, &upstream);
    if (e)
        return e;
    e = move_message(c->stream, upstream);
    if (e == OK)
        e = move_message(upstream, c->stream);
    if (e)
        stream_close(upstream);
    else
        give_upstream(c->forwarder, upstream);
    return e;
}

static void wake(void *argument);

static void serve(void *argument)
{
    struct client *c = argument;
    enum status e = OK;
    do {
        e = exchange(c);
    } while (e == OK && !stream_is_quiet(c->stream));
    if (e) {
        stream_close(c->stream);
        free(c);
        return;
    }
    stream_park(c->stream, wake, c);
}

static void wake(void *argument)
{
    struct client *c = argument;
    if (scope_start(loop_scope(loop_current()), serve, c) != OK) {
        stream_close(c->stream);
        free(c);
    }
}

static void accepted(void *argument, int descriptor, const struct address *peer)
{
    struct client *c = calloc(1, sizeof *c);
    must(c);
    c->forwarder = argument;
    if (socket_adopt(descriptor, peer, &c->stream) == OK)
        stream_park(c->stream, wake, c);
    else
        free(c);
}

int main(int count, char **arguments)
{
    static struct forwarder f;
    struct loop *loop;
    if (count != 3) {
        fprintf(stderr, "usage: micro_fibers PORT BACKEND-PORT\n");
        return 2;
    }
    int listener = listen_on((uint16_t)parse_number("port", arguments[1], 65535));
    struct sockaddr_in to = loopback((uint16_t)parse_number("backend port", arguments[2], 65535));
    f.upstream.size = sizeof to;
    memcpy(&f.upstream.any, &to, sizeof to);
    raise_descriptor_limit();
    must(loop_new(NULL, &loop) == OK);
    must(acceptor_new(listener, accepted, &f, &f.acceptor) == OK);
    loop_run(loop);
}
