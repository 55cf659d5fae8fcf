#include "run/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "run/io.h"
#include "run/fiber.h"
#include "run/loop.h"

/* An IP address in the least room: most streams live long and idle, and a struct address has room
 * for a unix path. */
struct endpoint {
    uint16_t family; /* AF_UNSPEC: not known */
    uint16_t port;   /* network order, as the rest */
    uint32_t scope;
    unsigned char ip[16];
};

struct socket {
    struct stream stream;
    struct io io;
    struct endpoint from; /* the peer, so that it is known when the connection is gone */
    struct address *peer; /* owned, made when first asked for, as the next */
    struct address *local;
};

static const struct address unknown_address = {.size = sizeof(sa_family_t)};

static struct socket *socket_of(struct stream *stream)
{
    return list_entry(stream, struct socket, stream);
}

static enum status wait_readable(struct stream *stream, instant deadline)
{
    return io_wait_readable(&socket_of(stream)->io, deadline);
}

static enum status read_some(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    return io_read(&socket_of(stream)->io, data, capacity, deadline, ret_size);
}

static enum status write_all(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    return io_writev(&socket_of(stream)->io, parts, count, deadline, ret_size);
}

static enum status splice_in(struct stream *stream, int pipe, size_t most, size_t *ret_size)
{
    return io_splice_in(&socket_of(stream)->io, pipe, most, ret_size);
}

static enum status splice_out(
    struct stream *stream, int pipe, size_t size, instant deadline, size_t *ret_size)
{
    return io_splice_out(&socket_of(stream)->io, pipe, size, deadline, ret_size);
}

static enum status try_read(struct stream *stream, void *data, size_t capacity, size_t *ret_size)
{
    return io_try_read(&socket_of(stream)->io, data, capacity, ret_size);
}

static enum status try_write(struct stream *stream, const void *data, size_t size, size_t *ret_size)
{
    return io_try_write(&socket_of(stream)->io, data, size, ret_size);
}

static enum status shut_down(struct stream *stream)
{
    if (shutdown(socket_of(stream)->io.descriptor, SHUT_WR) == 0)
        return OK;
    return errno == ENOTCONN ? CLOSED : IO_ERROR;
}

static bool is_quiet(struct stream *stream)
{
    return io_is_quiet(&socket_of(stream)->io);
}

static void park(struct stream *stream, stream_callback *call, void *argument)
{
    io_park(&socket_of(stream)->io, call, argument);
}

static void unpark(struct stream *stream)
{
    io_unpark(&socket_of(stream)->io);
}

static void on_break(struct stream *stream, stream_callback *call, void *argument)
{
    if (call)
        io_on_break(&socket_of(stream)->io, call, argument);
    else
        io_forget_break(&socket_of(stream)->io);
}

static void bound_unsent(struct stream *stream, size_t size)
{
    int bytes = size < INT_MAX ? (int)size : INT_MAX;
    setsockopt(
        socket_of(stream)->io.descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

static int release(struct stream *stream)
{
    struct socket *socket = socket_of(stream);
    int descriptor = socket->io.descriptor;
    io_remove(&socket->io);
    free(socket->peer);
    free(socket->local);
    free(socket);
    return descriptor;
}

static void close_socket(struct stream *stream)
{
    close(release(stream));
}

static void break_off(struct stream *stream)
{
    struct linger hard = {.l_onoff = 1};
    int descriptor = release(stream);
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(descriptor);
}

static void keep_endpoint(struct socket *socket, const struct address *peer)
{
    struct endpoint *from = &socket->from;
    from->family = peer->any.sa_family;
    if (from->family == AF_INET) {
        from->port = peer->v4.sin_port;
        memcpy(from->ip, &peer->v4.sin_addr, 4);
    } else if (from->family == AF_INET6) {
        from->port = peer->v6.sin6_port;
        from->scope = peer->v6.sin6_scope_id;
        memcpy(from->ip, &peer->v6.sin6_addr, 16);
    }
}

static bool restore_endpoint(const struct endpoint *from, struct address *address)
{
    if (from->family == AF_INET) {
        address->size = sizeof address->v4;
        address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = from->port};
        memcpy(&address->v4.sin_addr, from->ip, 4);
        return true;
    }
    if (from->family == AF_INET6) {
        address->size = sizeof address->v6;
        address->v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = from->port, .sin6_scope_id = from->scope};
        memcpy(&address->v6.sin6_addr, from->ip, 16);
        return true;
    }
    return false;
}

typedef int name_function(int descriptor, struct sockaddr *address, socklen_t *size);

static void ask_kernel(int descriptor, name_function *ask, struct address *address)
{
    socklen_t room = sizeof *address - offsetof(struct address, any);
    address->size = room;
    if (ask(descriptor, &address->any, &address->size) != 0 || address->size > room)
        *address = unknown_address;
}

static const struct address *peer_of(const struct stream *stream)
{
    struct socket *socket = socket_of((struct stream *)stream);
    if (!socket->peer) {
        struct address *peer = calloc(1, sizeof *peer);
        if (!peer)
            return &unknown_address;
        if (!restore_endpoint(&socket->from, peer))
            ask_kernel(socket->io.descriptor, getpeername, peer);
        socket->peer = peer;
    }
    return socket->peer;
}

static const struct address *local_of(const struct stream *stream)
{
    struct socket *socket = socket_of((struct stream *)stream);
    if (!socket->local) {
        struct address *local = calloc(1, sizeof *local);
        if (!local)
            return &unknown_address;
        ask_kernel(socket->io.descriptor, getsockname, local);
        socket->local = local;
    }
    return socket->local;
}

enum status socket_speak_for(
    struct stream *stream, const struct address *peer, const struct address *local)
{
    struct socket *socket = socket_of(stream);
    struct address *both[] = {malloc(sizeof *peer), malloc(sizeof *local)};
    if (!both[0] || !both[1]) {
        free(both[0]);
        free(both[1]);
        return NO_MEMORY;
    }
    free(socket->peer);
    free(socket->local);
    socket->peer = both[0];
    socket->local = both[1];
    *socket->peer = *peer;
    *socket->local = *local;
    return OK;
}

static const struct stream_ops socket_ops = {
    .wait_readable = wait_readable,
    .read = read_some,
    .writev = write_all,
    .splice_in = splice_in,
    .splice_out = splice_out,
    .try_read = try_read,
    .try_write = try_write,
    .shutdown = shut_down,
    .is_quiet = is_quiet,
    .park = park,
    .unpark = unpark,
    .on_break = on_break,
    .bound_unsent = bound_unsent,
    .close = close_socket,
    .break_off = break_off,
    .peer = peer_of,
    .local = local_of,
    .release = release,
};

int socket_descriptor(const struct stream *stream)
{
    const struct socket *socket = (const struct socket *)stream;
    return stream->ops == &socket_ops ? socket->io.descriptor : -1;
}

bool socket_peer(int descriptor, struct socket_peer *ret_peer)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (descriptor < 0 || getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    *ret_peer = (struct socket_peer){.process = peer.pid, .user = peer.uid};
    return true;
}

enum status socket_wait_for_room(struct stream *stream, instant deadline)
{
    must(stream->ops == &socket_ops);
    return io_wait_for_room(&socket_of(stream)->io, deadline);
}

/* Owns the descriptor from here on, as socket_adopt. */
static enum status make(
    int descriptor, const struct address *peer, bool is_connecting, struct socket **ret_socket)
{
    struct socket *socket = calloc(1, sizeof *socket);
    enum status e = socket ? io_add(&socket->io, descriptor, is_connecting) : NO_MEMORY;
    if (e) {
        free(socket);
        close(descriptor);
        return e;
    }
    socket->stream.ops = &socket_ops;
    if (peer)
        keep_endpoint(socket, peer);
    *ret_socket = socket;
    return OK;
}

static void set_no_delay(int descriptor)
{
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

enum status socket_adopt(int descriptor, const struct address *peer, struct stream **ret_stream)
{
    struct socket *socket;
    if (!peer || peer->any.sa_family != AF_UNIX)
        set_no_delay(descriptor);
    enum status e = make(descriptor, peer, false, &socket);
    if (e == OK)
        *ret_stream = &socket->stream;
    return e;
}

enum status socket_pair(struct stream **ret_a, struct stream **ret_b)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return IO_ERROR;
    struct stream *a;
    enum status e = socket_adopt(pair[0], NULL, &a);
    if (e) {
        close(pair[1]);
        return e;
    }
    e = socket_adopt(pair[1], NULL, ret_b);
    if (e)
        stream_close(a);
    else
        *ret_a = a;
    return e;
}

static enum status status_of_connect(int error)
{
    switch (error) {
    case 0:
        return OK;
    case ECONNREFUSED:
    case ECONNRESET: /* accepted and cut before we looked */
    case ENOENT:
        return REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EACCES:
    case EPERM:
        return UNREACHABLE;
    case ETIMEDOUT:
        return TIMEOUT;
    case ENOMEM:
    case ENOBUFS:
        return NO_MEMORY;
    default:
        return IO_ERROR;
    }
}

static enum status open_socket(
    const struct address *address, const struct socket_options *options, int *ret_descriptor)
{
    int descriptor = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno == ENOMEM || errno == ENOBUFS ? NO_MEMORY : IO_ERROR;
    if (address->any.sa_family != AF_UNIX)
        set_no_delay(descriptor);
    if (options && options->receive_buffer > 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer, sizeof(int));
    if (options && options->send_buffer > 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &options->send_buffer, sizeof(int));
    *ret_descriptor = descriptor;
    return OK;
}

/* Begins to connect: errno or 0. A unix socket whose queue is full does not begin at all (EAGAIN)
 * and nobody tells when there is room, so it is asked again and again. */
static enum status begin_connect(
    int descriptor, const struct address *address, instant deadline, int *ret_error)
{
    int64_t pause = MILLISECOND;
    while (connect(descriptor, &address->any, address->size) != 0) {
        *ret_error = errno;
        if (errno != EAGAIN || address->any.sa_family != AF_UNIX)
            return OK;
        instant next = loop_now() + pause;
        enum status e = fiber_sleep_until(clock_sooner(next, deadline));
        if (e || deadline <= next)
            return e ? e : TIMEOUT;
        pause = pause < 16 * MILLISECOND ? 2 * pause : pause;
    }
    *ret_error = 0;
    return OK;
}

static enum status end_connect(struct socket *socket, instant deadline)
{
    enum status e = io_wait_writable(&socket->io, deadline);
    if (e)
        return e;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket->io.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    return status_of_connect(error);
}

enum status socket_connect(const struct address *address, const struct socket_options *options,
    instant deadline, struct stream **ret_stream)
{
    int descriptor, error;
    must(fiber_current());
    enum status e = open_socket(address, options, &descriptor);
    if (e)
        return e;
    e = begin_connect(descriptor, address, deadline, &error);
    if (e == OK && error != EINPROGRESS && error != EINTR)
        e = status_of_connect(error);
    if (e) {
        close(descriptor);
        return e;
    }
    struct socket *socket;
    e = make(descriptor, address, error != 0, &socket);
    if (e)
        return e;
    if (error != 0)
        e = end_connect(socket, deadline);
    if (e)
        close_socket(&socket->stream);
    else
        *ret_stream = &socket->stream;
    return e;
}
