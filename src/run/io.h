/* The seam between this floor and the kernel: descriptors that a loop watches. For the run floor;
 * above it only io_watch and io_remove, by those who want callbacks where descriptor_wait_readable
 * (run/descriptor.h) would want a fiber.
 *
 * It speaks of operations that wait (read, write, connect), not of readiness, so that a loop made
 * of completions (io_uring) can stand in for io_epoll.c: struct io and the functions here are all
 * that the rest sees.
 *
 * With epoll a descriptor is added once, edge-triggered. What the kernel has reported is kept in
 * `state`, so that a read is tried only when there may be something to read. EPOLLOUT is asked for
 * the first time that a write finds the buffer full: most connections never get there, and each new
 * one would otherwise begin with a useless event. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/status.h"

struct loop;
struct fiber;

/* For a watch: what happened, IO_READ or IO_WRITE or both. Outside any fiber. */
typedef void io_watcher(void *argument, unsigned ready);
typedef void io_callback(void *argument);

enum {
    IO_READ = 1,
    IO_WRITE = 2,
    IO_EDGE = 4,      /* told once for each arrival; else again and again until it is dealt with */
    IO_EXCLUSIVE = 8, /* of several loops that watch it, one is told (not with IO_WRITE) */
};

struct io {
    int descriptor; /* the owner closes it; -1: not added */
    uint32_t state; /* bits of io_epoll.c */
    union {
        struct {
            struct fiber *reader, *writer; /* who waits, or NULL */
        };
        struct list due; /* parked: the callback is about to be called */
    };
    union {
        io_callback *parked, *broken;
        io_watcher *watcher;
    };
    void *argument;
};

/* What a loop has of it. */
struct io_loop {
    int epoll;
    struct list due;       /* parked ones that have something to read */
    struct list newcomers; /* the same, who were never called back before */
    void *events;          /* struct epoll_event[] while they are being dealt with, else NULL */
    int event_count;
};

enum status io_loop_init(struct io_loop *loop);
void io_loop_release(struct io_loop *loop);

/* Waits up to `timeout` milliseconds (-1: for ever) and deals with what happened. True when more
 * may have happened than fits into one round. */
bool io_loop_poll(struct io_loop *loop, int timeout);

/* Calls back parked ones that have something to read, who waits longest first, but only a few: what
 * is under way goes before what begins. Then fewer requests are under way at once, and their
 * memory, ours and the kernel's, is still in the processor's cache when they go on. Newcomers,
 * whose handshakes cost most, and of whom anyone can send any number, come after those who were
 * here before; but some of them come in each round. */
void io_loop_call_due(struct io_loop *loop);

/* True when there are such. */
static inline bool io_loop_is_due(const struct io_loop *loop)
{
    return !list_is_empty(&loop->due) || !list_is_empty(&loop->newcomers);
}

/* Adds a connected (or connecting) non-blocking stream socket to the calling thread's loop. */
enum status io_add(struct io *io, int descriptor, bool is_connecting);

/* Takes it off. Nobody may wait on it. The descriptor is left open. Harmless when it was not added.
 */
void io_remove(struct io *io);

/* The ways to wait. They are those of run/stream.h. */
enum status io_wait_readable(struct io *io, instant deadline);
enum status io_wait_writable(struct io *io, instant deadline);
enum status io_read(struct io *io, void *data, size_t capacity, instant deadline, size_t *ret_size);
enum status io_writev(
    struct io *io, const struct iovec *parts, int count, instant deadline, size_t *ret_size);

/* After the kernel has said that its buffer is full: until there is room. */
enum status io_wait_for_room(struct io *io, instant deadline);

/* Before an operation that may not have to wait: a cancelled fiber does no more (CANCELLED), and
 * one that never waits lets the others run now and then. The ways above do it themselves. */
enum status io_begin(instant deadline);

/* One attempt, which does not wait: INCOMPLETE when nothing can be done now. */
enum status io_try_read(struct io *io, void *data, size_t capacity, size_t *ret_size);
enum status io_try_write(struct io *io, const void *data, size_t size, size_t *ret_size);

/* Moves what has arrived, up to `most`, into an empty pipe, without waiting: OK with size 0 when
 * nothing has. */
enum status io_splice_in(struct io *io, int pipe, size_t most, size_t *ret_size);

/* Moves `size` bytes out of a pipe that has them. */
enum status io_splice_out(struct io *io, int pipe, size_t size, instant deadline, size_t *ret_size);

/* True when nothing to read and no end has been reported. Asks the kernel when the last read may
 * have left nothing. */
bool io_is_quiet(struct io *io);

/* Calls once when something can be read (also the end), from io_loop_call_due; not before the
 * loop's next round when that is so already. */
void io_park(struct io *io, io_callback *call, void *argument);
void io_unpark(struct io *io);

/* Calls once when the connection breaks; before it returns when it has broken already. Until then,
 * or until it is parked, or io_forget_break. Not while parked. */
void io_on_break(struct io *io, io_callback *call, void *argument);
void io_forget_break(struct io *io);

/* Watches any descriptor that can be polled; the watcher is called until io_remove. */
enum status io_watch(
    struct io *io, int descriptor, unsigned interest, io_watcher *watcher, void *argument);
enum status io_watch_change(struct io *io, unsigned interest);
