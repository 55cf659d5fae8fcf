#include "gateway/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LINE_MAX_SIZE 16384 /* of what would be longer, values are cut */
#define FLUSH_EVERY   100   /* milliseconds between two looks at the rings */
#define STOP_PATIENCE (1 * SECOND)

/* A ring with this much in it is written at once: the bytes are still in the processor's cache, and
 * a busy worker does not fill its ring between two looks. */
#define HURRY_SIZE ((uint64_t)64 * 1024)

/* What the writer does, so that workers know when to wake it. */
enum {
    IS_AWAKE,
    IS_RESTING, /* lines gather for a moment: wake it when a ring holds HURRY_SIZE */
    IS_ASLEEP   /* there was nothing to write: wake it for any line */
};

/* A ring of bytes between one worker and the writer. Positions only grow; their difference is what
 * is in it. The usual line is made in its place there. */
struct ring {
    _Alignas(64) _Atomic uint64_t head; /* written by the worker */
    uint64_t seen_tail;                 /* the worker's last look at tail */
    _Atomic uint64_t dropped;
    _Atomic uint64_t lines;
    _Alignas(64) _Atomic uint64_t tail; /* written by the writer */
    char *data;                         /* owned */
    struct log_time time;               /* the worker's */
    char line[LINE_MAX_SIZE]; /* for a line that cannot be made in its place: not on a fiber's
                                 stack, where each would bring its own cold pages */
};

struct access_log {
    char *path;     /* owned; NULL for stdout and stderr */
    int descriptor; /* the writer's */
    enum log_format format;
    uint64_t ring_size; /* a power of two */
    unsigned workers;
    struct ring *rings; /* owned */
    pthread_t writer;
    int wake; /* eventfd: the writer sleeps on it when there is nothing to write */
    _Atomic int writer_state;
    _Atomic bool is_stopping;
    _Atomic bool must_reopen;
    _Atomic uint64_t failed_writes;
    _Atomic uint64_t lost; /* lines that went with them */
};

/* O_NONBLOCK, since a pipe that nobody reads must hold up neither the start nor the stop. A named
 * pipe is opened for reading too: so its reader may come later, go, and come again. */
static int open_path(const char *path)
{
    struct stat target;
    bool is_pipe = !stat(path, &target) && S_ISFIFO(target.st_mode);
    int way = is_pipe ? O_RDWR : O_WRONLY | O_APPEND | O_CREAT;
    return open(path, way | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
}

/* A pipe or terminal is opened anew: whoever shares ours shall not find it non-blocking. */
static int open_standard(int descriptor)
{
    char path[32];
    struct stat target;
    int opened = -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (fstat(descriptor, &target) == 0 && (S_ISFIFO(target.st_mode) || S_ISCHR(target.st_mode)))
        opened = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return opened >= 0 ? opened : fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
}

/* As writev, without a wait where the target is a socket that others share, such as the journal's.
 */
static ssize_t write_some(int descriptor, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t size = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return size < 0 && errno == ENOTSOCK ? writev(descriptor, parts, count) : size;
}

static void wake_writer(struct access_log *log)
{
    uint64_t one = 1;
    ssize_t ignored = write(log->wake, &one, sizeof one);
    (void)ignored;
}

static bool must_wake(const struct access_log *log, struct ring *ring, uint64_t head)
{
    int state = atomic_load_explicit(&log->writer_state, memory_order_seq_cst);
    if (state != IS_RESTING)
        return state == IS_ASLEEP;
    if (head - ring->seen_tail >= HURRY_SIZE)
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - ring->seen_tail >= HURRY_SIZE;
}

/* Bytes that the writer has made room for. */
static uint64_t room_in(
    const struct access_log *log, struct ring *ring, uint64_t head, size_t wanted)
{
    if (log->ring_size - (head - ring->seen_tail) < wanted)
        ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return log->ring_size - (head - ring->seen_tail);
}

/* What lies behind the head is a line now. */
static void publish(struct access_log *log, struct ring *ring, uint64_t head)
{
    atomic_store_explicit(&ring->head, head, memory_order_seq_cst);
    atomic_store_explicit(&ring->lines,
        atomic_load_explicit(&ring->lines, memory_order_relaxed) + 1, memory_order_relaxed);
    if (must_wake(log, ring, head) && atomic_exchange(&log->writer_state, IS_AWAKE) != IS_AWAKE)
        wake_writer(log);
}

/* What a line is about: one of the two. */
struct subject {
    const struct exchange *x;
    const struct l4_facts *facts;
};

static void format_line(const struct access_log *log, struct ring *ring,
    const struct subject *subject, struct text *text)
{
    if (subject->x)
        access_log_format(subject->x, log->format, &ring->time, text);
    else
        access_log_format_l4(subject->facts, log->format, &ring->time, text);
}

/* Near the ring's end, or when it is nearly full: the line is made beside it and put in whole, or
 * not at all. */
static void add_in_parts(
    struct access_log *log, struct ring *ring, uint64_t head, const struct subject *subject)
{
    struct text text = text_fixed(ring->line, sizeof ring->line);
    format_line(log, ring, subject, &text);
    if (room_in(log, ring, head, text.size) < text.size) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return;
    }
    uint64_t at = head & (log->ring_size - 1);
    size_t first = log->ring_size - at < text.size ? log->ring_size - at : text.size;
    memcpy(ring->data + at, ring->line, first);
    memcpy(ring->data, ring->line + first, text.size - first);
    publish(log, ring, head + text.size);
}

static inline void add_line(
    struct access_log *log, unsigned worker, const struct subject *subject, int64_t wall)
{
    if (!log)
        return;
    struct ring *ring = &log->rings[worker];
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t at = head & (log->ring_size - 1);
    ring->time.wall = wall;
    if (log->ring_size - at < LINE_MAX_SIZE ||
        room_in(log, ring, head, LINE_MAX_SIZE) < LINE_MAX_SIZE) {
        add_in_parts(log, ring, head, subject);
        return;
    }
    struct text text = text_fixed(ring->data + at, LINE_MAX_SIZE);
    format_line(log, ring, subject, &text);
    publish(log, ring, head + text.size);
}

void access_log_add(struct access_log *log, unsigned worker, const struct exchange *x, int64_t wall)
{
    add_line(log, worker, &(struct subject){.x = x}, wall);
}

void access_log_add_l4(
    struct access_log *log, unsigned worker, const struct l4_facts *facts, int64_t wall)
{
    add_line(log, worker, &(struct subject){.facts = facts}, wall);
}

static void reopen(struct access_log *log)
{
    if (!log->path)
        return;
    int descriptor = open_path(log->path);
    if (descriptor < 0) {
        atomic_fetch_add(&log->failed_writes, 1);
        return;
    }
    close(log->descriptor);
    log->descriptor = descriptor;
}

/* Waits until the target takes bytes; false when there is no point in waiting longer. A stop is
 * noticed here, and goes on with a look that ends. */
static bool wait_writable(struct access_log *log, instant give_up)
{
    struct pollfd poll_one = {.fd = log->descriptor, .events = POLLOUT};
    (void)poll(&poll_one, 1, FLUSH_EVERY);
    if (atomic_load(&log->must_reopen))
        return false;
    return give_up == NEVER ? !atomic_load(&log->is_stopping) : clock_now() < give_up;
}

/* What could not be written is lost: its lines are counted. */
static void lose(struct access_log *log, const struct iovec *parts, size_t count)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < parts[i].iov_len; j++)
            lines += ((const char *)parts[i].iov_base)[j] == '\n';
    atomic_fetch_add(&log->failed_writes, 1);
    atomic_fetch_add(&log->lost, lines);
}

/* Writes a ring's bytes. On an error that is not "later" they are thrown away: the ring must not
 * stay full. */
static bool drain(struct access_log *log, struct ring *ring, instant give_up)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    bool any = tail != head;
    while (tail != head) {
        uint64_t at = tail & (log->ring_size - 1), size = head - tail;
        uint64_t first = log->ring_size - at < size ? log->ring_size - at : size;
        struct iovec parts[2] = {{ring->data + at, first}, {ring->data, size - first}};
        int count = size > first ? 2 : 1;
        ssize_t n = write_some(log->descriptor, parts, count);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_writable(log, give_up))
                break;
            continue;
        }
        if (n < 0)
            lose(log, parts, (size_t)count);
        tail += n < 0 ? size : (uint64_t)n;
        atomic_store_explicit(&ring->tail, tail, memory_order_release);
    }
    return any;
}

static bool drain_all(struct access_log *log, instant give_up)
{
    bool any = false;
    for (unsigned i = 0; i < log->workers; i++)
        any |= drain(log, &log->rings[i], give_up);
    return any;
}

/* Until a worker wakes it, at most so long (-1: for ever). */
static void wait_for_worker(struct access_log *log, int milliseconds)
{
    struct pollfd poll_one = {.fd = log->wake, .events = POLLIN};
    uint64_t count;
    if (poll(&poll_one, 1, milliseconds) > 0) {
        ssize_t ignored = read(log->wake, &count, sizeof count);
        (void)ignored;
    }
    atomic_store(&log->writer_state, IS_AWAKE);
}

/* Lets lines gather, so that one system call writes many. */
static void rest(struct access_log *log)
{
    atomic_store(&log->writer_state, IS_RESTING);
    wait_for_worker(log, FLUSH_EVERY);
}

/* Announces sleep, looks once more, then sleeps until a worker has a line: so none is missed. */
static void sleep_until_lines(struct access_log *log)
{
    atomic_store(&log->writer_state, IS_ASLEEP);
    for (unsigned i = 0; i < log->workers; i++)
        if (atomic_load(&log->rings[i].head) != atomic_load(&log->rings[i].tail))
            atomic_store(&log->writer_state, IS_AWAKE);
    if (atomic_load(&log->writer_state) == IS_ASLEEP && !atomic_load(&log->is_stopping))
        wait_for_worker(log, -1);
}

static void *write_lines(void *argument)
{
    struct access_log *log = argument;
    while (!atomic_load(&log->is_stopping)) {
        if (atomic_exchange(&log->must_reopen, false))
            reopen(log);
        if (drain_all(log, NEVER))
            rest(log);
        else
            sleep_until_lines(log);
    }
    drain_all(log, clock_now() + STOP_PATIENCE);
    return NULL;
}

static enum status open_target(struct access_log *log, struct slice to)
{
    if (slice_equal(to, SLICE("stdout")) || slice_equal(to, SLICE("stderr"))) {
        log->descriptor = open_standard(slice_equal(to, SLICE("stdout")) ? 1 : 2);
        return log->descriptor < 0 ? IO_ERROR : OK;
    }
    log->path = strndup(to.data, to.size);
    if (!log->path)
        return NO_MEMORY;
    log->descriptor = open_path(log->path);
    return log->descriptor < 0 ? IO_ERROR : OK;
}

static enum status make_rings(struct access_log *log, int64_t size)
{
    log->ring_size = 4096;
    while (log->ring_size < (uint64_t)size)
        log->ring_size *= 2;
    log->rings = aligned_alloc(64, log->workers * sizeof *log->rings);
    if (!log->rings)
        return NO_MEMORY;
    memset(log->rings, 0, log->workers * sizeof *log->rings);
    for (unsigned i = 0; i < log->workers; i++) {
        log->rings[i].data = malloc(log->ring_size);
        if (!log->rings[i].data)
            return NO_MEMORY;
    }
    return OK;
}

static void release(struct access_log *log)
{
    for (unsigned i = 0; log->rings && i < log->workers; i++)
        free(log->rings[i].data);
    free(log->rings);
    free(log->path);
    if (log->descriptor >= 0)
        close(log->descriptor);
    if (log->wake >= 0)
        close(log->wake);
    free(log);
}

enum status access_log_new(
    const struct log_options *options, unsigned workers, struct access_log **ret_log)
{
    struct access_log *log = calloc(1, sizeof *log);
    if (!log)
        return NO_MEMORY;
    log->descriptor = -1;
    log->workers = workers;
    log->format = (enum log_format)options->format;
    log->wake = eventfd(0, EFD_CLOEXEC);
    enum status e = log->wake < 0 ? IO_ERROR : open_target(log, options->to);
    if (!e)
        e = make_rings(log, options->buffer);
    if (!e && pthread_create(&log->writer, NULL, write_lines, log))
        e = NO_MEMORY;
    if (e) {
        int error = errno;
        release(log);
        errno = error;
        return e;
    }
    *ret_log = log;
    return OK;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    atomic_store(&log->is_stopping, true);
    wake_writer(log);
    pthread_join(log->writer, NULL);
    release(log);
}

void access_log_reopen(struct access_log *log)
{
    if (!log)
        return;
    atomic_store(&log->must_reopen, true);
    wake_writer(log);
}

struct access_log_counters access_log_read_counters(const struct access_log *log)
{
    struct access_log_counters counters = {0};
    for (unsigned i = 0; log && i < log->workers; i++) {
        counters.written += atomic_load(&log->rings[i].lines);
        counters.dropped += atomic_load(&log->rings[i].dropped);
    }
    if (!log)
        return counters;
    counters.dropped += atomic_load(&log->lost);
    counters.failed_writes = atomic_load(&log->failed_writes);
    return counters;
}
