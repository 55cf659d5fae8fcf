#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/must.h"
#include "run/io.h"
#include "run/loop_core.h"

/* The C library's recv and send are points of cancellation, which costs two atomic operations in a
 * program with threads; nothing here is ever cancelled that way. */
static inline ssize_t receive(int descriptor, void *data, size_t size, int flags)
{
    return syscall(SYS_recvfrom, descriptor, data, size, flags, NULL, NULL);
}

static inline ssize_t transmit(int descriptor, const void *data, size_t size)
{
    return syscall(SYS_sendto, descriptor, data, size, MSG_NOSIGNAL, NULL, 0);
}

#define EVENTS_A_ROUND  256
#define CALLS_A_ROUND   32 /* of parked streams: work that begins */
#define NEWCOMERS_LEAST 8  /* of newcomers, whoever else there is */
#define PARTS_AT_ONCE   16

/* Bits of io.state. */
enum {
    READABLE = 1, /* reported, and not yet read to the end */
    ENDED = 2,   /* the peer has finished or the connection broke: reading will not wait any more */
    BLOCKED = 4, /* the last write found no room */
    HEARS_WRITABLE = 8, /* EPOLLOUT is asked for */
    PARKED = 16,
    WATCHED = 32,
    BROKEN = 64,       /* neither direction works any more: a reset, or both ends have closed */
    HEARS_BREAK = 128, /* somebody wants to be told */
    NEWCOMER = 256,    /* was never called back */
};

enum status io_loop_init(struct io_loop *loop)
{
    list_init(&loop->due);
    list_init(&loop->newcomers);
    loop->events = NULL;
    loop->event_count = 0;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? IO_ERROR : OK;
}

void io_loop_release(struct io_loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    loop->epoll = -1;
}

static void call_parked(struct io *io)
{
    io->state &= ~(uint32_t)(PARKED | NEWCOMER);
    io->reader = io->writer = NULL;
    io->parked(io->argument);
}

static void become_due(struct io *io)
{
    struct io_loop *loop = &loop_here->io;
    list_push_back(io->state & NEWCOMER ? &loop->newcomers : &loop->due, &io->due);
}

static void call_broken(struct io *io)
{
    io->state &= ~(uint32_t)HEARS_BREAK;
    io->broken(io->argument);
}

static void report_to_stream(struct io *io, uint32_t events)
{
    if (events & (EPOLLHUP | EPOLLERR))
        io->state |= BROKEN;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        io->state |= ENDED | READABLE;
    else if (events & EPOLLIN)
        io->state |= READABLE;
    if (io->state & PARKED) {
        if ((io->state & READABLE) && list_is_empty(&io->due))
            become_due(io);
        return;
    }
    if ((io->state & READABLE) && io->reader)
        fiber_wake(io->reader);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        io->state &= ~(uint32_t)BLOCKED;
        if (io->writer)
            fiber_wake(io->writer);
    }
    if ((io->state & BROKEN) && (io->state & HEARS_BREAK))
        call_broken(io);
}

static void report(struct io *io, uint32_t events)
{
    if (!(io->state & WATCHED)) {
        report_to_stream(io, events);
        return;
    }
    unsigned ready = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        ready |= IO_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ready |= IO_WRITE;
    io->watcher(io->argument, ready);
}

/* What the callbacks park anew comes behind the mark and waits for the next round. */
static int call_some(struct list *due, int most)
{
    struct list mark;
    int count = 0;
    list_push_back(due, &mark);
    for (; count < most && due->next != &mark; count++)
        call_parked(list_entry(list_pop_front(due), struct io, due));
    list_remove(&mark);
    return count;
}

void io_loop_call_due(struct io_loop *loop)
{
    int left = CALLS_A_ROUND - call_some(&loop->due, CALLS_A_ROUND);
    call_some(&loop->newcomers, left > NEWCOMERS_LEAST ? left : NEWCOMERS_LEAST);
}

bool io_loop_poll(struct io_loop *loop, int timeout)
{
    struct epoll_event events[EVENTS_A_ROUND];
    int count = epoll_wait(loop->epoll, events, EVENTS_A_ROUND, timeout);
    must(count >= 0 || errno == EINTR);
    loop->events = events;
    loop->event_count = count;
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr)
            report(events[i].data.ptr, events[i].events);
    loop->events = NULL;
    return count == EVENTS_A_ROUND;
}

static enum status control(struct io *io, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = io};
    if (epoll_ctl(loop_here->io.epoll, operation, io->descriptor, &event) == 0)
        return OK;
    return errno == ENOMEM || errno == ENOSPC ? NO_MEMORY : IO_ERROR;
}

static uint32_t events_of_stream(const struct io *io)
{
    uint32_t out = io->state & HEARS_WRITABLE ? EPOLLOUT : 0;
    return EPOLLIN | EPOLLRDHUP | EPOLLET | out;
}

enum status io_add(struct io *io, int descriptor, bool is_connecting)
{
    *io = (struct io){.descriptor = descriptor};
    if (is_connecting)
        io->state = HEARS_WRITABLE | BLOCKED;
    else
        io->state = NEWCOMER;
    enum status e = control(io, EPOLL_CTL_ADD, events_of_stream(io));
    if (e)
        io->descriptor = -1;
    return e;
}

/* Events of this very round may still name what is removed. */
static void forget_events(struct io_loop *loop, const struct io *io)
{
    struct epoll_event *events = loop->events;
    for (int i = 0; events && i < loop->event_count; i++)
        if (events[i].data.ptr == io)
            events[i].data.ptr = NULL;
}

void io_remove(struct io *io)
{
    if (io->descriptor < 0)
        return;
    io_unpark(io);
    must((io->state & WATCHED) || (!io->reader && !io->writer));
    epoll_ctl(loop_here->io.epoll, EPOLL_CTL_DEL, io->descriptor, NULL);
    forget_events(&loop_here->io, io);
    io->descriptor = -1;
}

enum status io_wait_readable(struct io *io, instant deadline)
{
    enum status e = OK;
    must(!io->reader && !(io->state & PARKED));
    io->reader = fiber_that_waits();
    while (e == OK && !(io->state & READABLE))
        e = fiber_wait(deadline);
    io->reader = NULL;
    return e;
}

enum status io_wait_writable(struct io *io, instant deadline)
{
    enum status e = OK;
    must(!io->writer && !(io->state & PARKED));
    io->writer = fiber_that_waits();
    while (e == OK && (io->state & BLOCKED))
        e = fiber_wait(deadline);
    io->writer = NULL;
    return e;
}

static inline enum status begin_operation(instant deadline)
{
    struct fiber *self = fiber_that_waits();
    if (fiber_has_had_its_share()) {
        fiber_yield();
        if (deadline <= loop_here->now)
            return TIMEOUT;
    }
    return self->cancelled && self->shields == 0 ? CANCELLED : OK;
}

enum status io_begin(instant deadline)
{
    return begin_operation(deadline);
}

static enum status status_of_error(int error)
{
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case ENOTCONN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
        return CLOSED;
    case ENOMEM:
    case ENOBUFS:
        return NO_MEMORY;
    default:
        return IO_ERROR;
    }
}

enum status io_try_read(struct io *io, void *data, size_t capacity, size_t *ret_size)
{
    while (io->state & READABLE) {
        ssize_t size = receive(io->descriptor, data, capacity, 0);
        if (size > 0) {
            if ((size_t)size < capacity && !(io->state & ENDED))
                io->state &= ~(uint32_t)READABLE;
            *ret_size = (size_t)size;
            return OK;
        }
        if (size == 0)
            return END;
        if (errno == EAGAIN)
            io->state &= ~(uint32_t)(READABLE | ENDED);
        else if (errno != EINTR)
            return status_of_error(errno);
    }
    return INCOMPLETE;
}

enum status io_read(struct io *io, void *data, size_t capacity, instant deadline, size_t *ret_size)
{
    enum status e = begin_operation(deadline);
    while (e == OK) {
        e = io_try_read(io, data, capacity, ret_size);
        if (e != INCOMPLETE)
            return e;
        e = io_wait_readable(io, deadline);
    }
    return e;
}

/* The kernel's buffer is full: from now on we hear when there is room again. */
static enum status ask_for_room(struct io *io)
{
    io->state |= BLOCKED;
    if (io->state & HEARS_WRITABLE)
        return OK;
    io->state |= HEARS_WRITABLE;
    return control(io, EPOLL_CTL_MOD, events_of_stream(io));
}

enum status io_wait_for_room(struct io *io, instant deadline)
{
    enum status e = ask_for_room(io);
    return e ? e : io_wait_writable(io, deadline);
}

enum status io_try_write(struct io *io, const void *data, size_t size, size_t *ret_size)
{
    while (!(io->state & BLOCKED)) {
        ssize_t written = transmit(io->descriptor, data, size);
        if (written >= 0) {
            *ret_size = (size_t)written;
            return OK;
        }
        if (errno == EAGAIN) {
            enum status e = ask_for_room(io);
            return e ? e : INCOMPLETE;
        }
        if (errno != EINTR)
            return status_of_error(errno);
    }
    return INCOMPLETE;
}

/* What is left of `parts` after the first `done` bytes. */
static int rest_of(const struct iovec *parts, int count, size_t done, struct iovec *ret_rest)
{
    int n = 0;
    for (int i = 0; i < count && n < PARTS_AT_ONCE; i++) {
        if (done >= parts[i].iov_len) {
            done -= parts[i].iov_len;
            continue;
        }
        ret_rest[n++] = (struct iovec){(char *)parts[i].iov_base + done, parts[i].iov_len - done};
        done = 0;
    }
    return n;
}

static ssize_t send_parts(int descriptor, const struct iovec *parts, int count)
{
    if (count == 1)
        return transmit(descriptor, parts->iov_base, parts->iov_len);
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

/* One attempt to write what is left; on EAGAIN it waits. */
static enum status write_rest(
    struct io *io, const struct iovec *parts, int count, instant deadline, size_t *done)
{
    struct iovec rest[PARTS_AT_ONCE];
    if (*done > 0 || count > PARTS_AT_ONCE) {
        count = rest_of(parts, count, *done, rest);
        parts = rest;
    }
    ssize_t size = send_parts(io->descriptor, parts, count);
    if (size >= 0) {
        *done += (size_t)size;
        return OK;
    }
    if (errno == EAGAIN)
        return io_wait_for_room(io, deadline);
    return errno == EINTR ? OK : status_of_error(errno);
}

enum status io_writev(
    struct io *io, const struct iovec *parts, int count, instant deadline, size_t *ret_size)
{
    size_t total = 0, done = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    enum status e = begin_operation(deadline);
    if (e == OK && (io->state & BLOCKED))
        e = io_wait_writable(io, deadline);
    while (e == OK && done < total)
        e = write_rest(io, parts, count, deadline, &done);
    if (ret_size)
        *ret_size = done;
    return e;
}

enum status io_splice_in(struct io *io, int pipe, size_t most, size_t *ret_size)
{
    enum status e = begin_operation(NEVER);
    if (e)
        return e;
    *ret_size = 0;
    ssize_t size =
        splice(io->descriptor, NULL, pipe, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (size > 0)
        *ret_size = (size_t)size;
    else if (size == 0)
        return END;
    else if (errno == EAGAIN)
        io->state &= ~(uint32_t)(READABLE | ENDED);
    else if (errno != EINTR)
        return status_of_error(errno);
    return OK;
}

/* One attempt; on EAGAIN it waits. */
static enum status splice_rest(struct io *io, int pipe, size_t size, instant deadline, size_t *done)
{
    ssize_t moved =
        splice(pipe, NULL, io->descriptor, NULL, size - *done, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved > 0) {
        *done += (size_t)moved;
        return OK;
    }
    must(moved < 0);
    if (errno == EAGAIN)
        return io_wait_for_room(io, deadline);
    return errno == EINTR ? OK : status_of_error(errno);
}

enum status io_splice_out(struct io *io, int pipe, size_t size, instant deadline, size_t *ret_size)
{
    enum status e = begin_operation(deadline);
    *ret_size = 0;
    if (e == OK && (io->state & BLOCKED))
        e = io_wait_writable(io, deadline);
    while (e == OK && *ret_size < size)
        e = splice_rest(io, pipe, size, deadline, ret_size);
    return e;
}

bool io_is_quiet(struct io *io)
{
    char byte;
    if (!(io->state & READABLE))
        return true;
    if ((io->state & ENDED) || recv(io->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
        errno != EAGAIN)
        return false;
    io->state &= ~(uint32_t)READABLE;
    return true;
}

void io_park(struct io *io, io_callback *call, void *argument)
{
    must(!(io->state & PARKED) && !io->reader && !io->writer);
    io->state = (io->state & ~(uint32_t)HEARS_BREAK) | PARKED;
    io->parked = call;
    io->argument = argument;
    list_init(&io->due);
    if (!io_is_quiet(io))
        become_due(io);
}

void io_unpark(struct io *io)
{
    if (!(io->state & PARKED))
        return;
    list_remove(&io->due);
    io->state &= ~(uint32_t)PARKED;
    io->reader = io->writer = NULL;
}

void io_on_break(struct io *io, io_callback *call, void *argument)
{
    must(!(io->state & PARKED));
    io->state |= HEARS_BREAK;
    io->broken = call;
    io->argument = argument;
    if (io->state & BROKEN)
        call_broken(io);
}

void io_forget_break(struct io *io)
{
    io->state &= ~(uint32_t)HEARS_BREAK;
}

static uint32_t events_of_watch(unsigned interest)
{
    uint32_t events = 0;
    if (interest & IO_READ)
        events |= EPOLLIN;
    if (interest & IO_WRITE)
        events |= EPOLLOUT;
    if (interest & IO_EDGE)
        events |= EPOLLET;
    if (interest & IO_EXCLUSIVE)
        events |= EPOLLEXCLUSIVE;
    return events;
}

enum status io_watch(
    struct io *io, int descriptor, unsigned interest, io_watcher *watcher, void *argument)
{
    *io = (struct io){.descriptor = descriptor, .state = WATCHED};
    io->watcher = watcher;
    io->argument = argument;
    enum status e = control(io, EPOLL_CTL_ADD, events_of_watch(interest));
    if (e)
        io->descriptor = -1;
    return e;
}

enum status io_watch_change(struct io *io, unsigned interest)
{
    return control(io, EPOLL_CTL_MOD, events_of_watch(interest));
}
