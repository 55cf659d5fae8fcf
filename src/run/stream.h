/* Streams: bytes to and from a peer. Sockets are streams; TLS (run/tls.h) is one on top of another.
 *
 * A stream belongs to one loop. At most one fiber reads and at most one (other) fiber writes at a
 * time. The calls wait: the running fiber parks until the peer lets it go on, the deadline passes
 * (TIMEOUT) or it is cancelled (CANCELLED).
 *
 * Between messages a stream can be *parked*: no fiber waits on it, and a callback is called,
 * outside any fiber, when there is something to read or the peer has gone. A parked stream costs
 * its own struct and nothing else. */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/status.h"
#include "run/address.h"

struct stream;

/* Of a parked stream: called on the loop, outside any fiber; the stream is no longer parked then.
 */
typedef void stream_callback(void *argument);

struct stream_ops {
    enum status (*wait_readable)(struct stream *stream, instant deadline);
    enum status (*read)(
        struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size);
    enum status (*writev)(struct stream *stream, const struct iovec *parts, int count,
        instant deadline, size_t *ret_size);
    /* For run/splice.h alone; or NULL: the bytes on the wire are not the stream's. FULL from
     * splice_out: it cannot be done, and nothing has been moved. */
    enum status (*splice_in)(struct stream *stream, int pipe, size_t most, size_t *ret_size);
    enum status (*splice_out)(
        struct stream *stream, int pipe, size_t size, instant deadline, size_t *ret_size);
    /* Whether splice_out should be tried when so many bytes are to come; or NULL: always. */
    bool (*takes_splices)(const struct stream *stream, uint64_t coming);
    /* For streams on top of this one, or NULL. Without waiting, and without ever letting another
     * fiber run: INCOMPLETE when nothing can be read or written now. */
    enum status (*try_read)(struct stream *stream, void *data, size_t capacity, size_t *ret_size);
    enum status (*try_write)(
        struct stream *stream, const void *data, size_t size, size_t *ret_size);
    enum status (*shutdown)(struct stream *stream);
    bool (*is_quiet)(struct stream *stream);
    void (*park)(struct stream *stream, stream_callback *call, void *argument);
    void (*unpark)(struct stream *stream);
    void (*on_break)(struct stream *stream, stream_callback *call, void *argument);
    void (*bound_unsent)(struct stream *stream, size_t size); /* or NULL */
    void (*close)(struct stream *stream);
    void (*break_off)(struct stream *stream);
    const struct address *(*peer)(const struct stream *stream);
    const struct address *(*local)(const struct stream *stream);
    int (*release)(struct stream *stream);
};

struct stream {
    const struct stream_ops *ops;
};

/* Until bytes can be read (also the end or an error counts): so that a buffer is taken only then.
 */
static inline enum status stream_wait_readable(struct stream *stream, instant deadline)
{
    return stream->ops->wait_readable(stream, deadline);
}

/* At least one byte, at most `capacity`. END when the peer has finished sending; CLOSED when the
 * connection broke. */
static inline enum status stream_read(
    struct stream *stream, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    return stream->ops->read(stream, data, capacity, deadline, ret_size);
}

/* Writes all of it, waiting as often as needed. On failure `*ret_size` (may be NULL) still says how
 * many bytes were handed to the kernel: a caller must know whether the peer can have seen anything.
 * After TIMEOUT the next write, be it of nothing, goes on there. */
static inline enum status stream_writev(
    struct stream *stream, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    return stream->ops->writev(stream, parts, count, deadline, ret_size);
}

enum status stream_write(
    struct stream *stream, const void *data, size_t size, instant deadline, size_t *ret_size);

/* No more will be written; reading goes on. Waits only where TLS has to tell a slow peer first. */
static inline enum status stream_shutdown(struct stream *stream)
{
    return stream->ops->shutdown(stream);
}

/* True when nothing has arrived and the peer has not gone, as far as is known without waiting: an
 * idle connection that may be used again. */
static inline bool stream_is_quiet(struct stream *stream)
{
    return stream->ops->is_quiet(stream);
}

static inline void stream_park(struct stream *stream, stream_callback *call, void *argument)
{
    stream->ops->park(stream, call, argument);
}

static inline void stream_unpark(struct stream *stream)
{
    stream->ops->unpark(stream);
}

/* Calls once when the connection breaks (a reset, or the peer has closed both directions of it), so
 * that work for a peer that is gone can be given up. A peer that has only finished sending has not
 * broken it. It is called on the loop, or before this returns when the break is known already, and
 * must not close the stream. Parking ends it, and so does NULL. It costs no system call. */
static inline void stream_on_break(struct stream *stream, stream_callback *call, void *argument)
{
    stream->ops->on_break(stream, call, argument);
}

/* From now on the kernel takes no more once some `size` bytes wait there that the peer's window
 * does not let out: else a peer that takes nothing makes it hold megabytes. Not all streams can. */
static inline void stream_bound_unsent(struct stream *stream, size_t size)
{
    if (stream->ops->bound_unsent)
        stream->ops->bound_unsent(stream, size);
}

/* Closes and frees. Nobody may wait on it. NULL is fine. */
void stream_close(struct stream *stream);

/* The same, but the peer is not to take what it got for the whole: the connection is reset, and TLS
 * does not say that it has ended. NULL is fine. */
void stream_break_off(struct stream *stream);

static inline const struct address *stream_peer(const struct stream *stream)
{
    return stream->ops->peer(stream);
}

static inline const struct address *stream_local(const struct stream *stream)
{
    return stream->ops->local(stream);
}

/* Gives up the descriptor to the caller (to move the connection to another loop) and frees the
 * stream; -1 when the stream has state that cannot move, in which case it is left as it was. */
static inline int stream_release(struct stream *stream)
{
    return stream->ops->release(stream);
}
