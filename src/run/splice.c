#include "run/splice.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "run/loop_core.h"

#define PIPE_SIZE   ((size_t)1024 * 1024)
#define PIPE_LEAST  ((size_t)256 * 1024) /* a smaller one costs more than it saves */
#define KEPT        16
#define RETRY_AFTER SECOND /* when the system has refused one */

struct splice {
    struct splice *next;   /* the pool's own */
    int out, in;           /* the pipe's ends */
    size_t size;           /* bytes in it, or in `copied` */
    struct buffer *copied; /* owned, or NULL: bytes that had to be taken out */
    size_t begin, end;     /* of those that are left there */
};

static void close_splice(struct splice *splice)
{
    buffer_give(splice->copied);
    close(splice->out);
    close(splice->in);
    free(splice);
}

static bool can_grow(int pipe)
{
    for (size_t size = PIPE_SIZE; size >= PIPE_LEAST; size /= 2)
        if (fcntl(pipe, F_SETPIPE_SZ, (int)size) >= 0)
            return true;
    return false;
}

static struct splice *open_splice(void)
{
    int ends[2];
    struct splice *splice = malloc(sizeof *splice);
    if (!splice)
        return NULL;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
        free(splice);
        return NULL;
    }
    *splice = (struct splice){.out = ends[0], .in = ends[1]};
    if (can_grow(splice->in))
        return splice;
    close_splice(splice);
    return NULL;
}

static void set_lent(struct splices *pool, size_t lent)
{
    pool->lent = lent;
    atomic_store_explicit(&loop_here->tally.splices_lent, lent, memory_order_relaxed);
}

static struct splice *take(struct splices *pool)
{
    struct splice *splice = pool->first;
    if (pool->lent >= pool->max)
        return NULL;
    if (splice) {
        pool->first = splice->next;
        pool->free--;
    } else if (loop_here->now >= pool->retry) {
        splice = open_splice();
        if (!splice)
            pool->retry = loop_here->now + RETRY_AFTER;
    }
    if (splice)
        set_lent(pool, pool->lent + 1);
    return splice;
}

void splice_give(struct splice *splice)
{
    struct splices *pool = &loop_here->splices;
    if (!splice)
        return;
    must(pool->lent > 0);
    set_lent(pool, pool->lent - 1);
    if (splice->size > 0 || pool->free >= KEPT) {
        close_splice(splice);
        return;
    }
    splice->next = pool->first;
    pool->first = splice;
    pool->free++;
}

void splices_release(struct splices *pool)
{
    while (pool->first) {
        struct splice *next = pool->first->next;
        close_splice(pool->first);
        pool->first = next;
    }
    *pool = (struct splices){0};
}

size_t splice_size(const struct splice *splice)
{
    return splice->size;
}

enum status splice_read(struct stream *from, size_t most, instant deadline,
    struct splice **ret_splice, size_t *ret_size)
{
    most = most < PIPE_SIZE ? most : PIPE_SIZE; /* no more, although it may have room */
    for (;;) {
        enum status e = stream_wait_readable(from, deadline);
        if (e)
            return e;
        struct splice *splice = take(&loop_here->splices);
        if (!splice)
            return FULL;
        e = from->ops->splice_in(from, splice->in, most, &splice->size);
        if (e == OK && splice->size > 0) {
            *ret_splice = splice;
            *ret_size = splice->size;
            return OK;
        }
        splice_give(splice);
        if (e)
            return e;
    }
}

/* There are bytes in the pipe, so it does not wait. */
static enum status take_out(struct splice *splice)
{
    if (!splice->copied)
        splice->copied = buffer_take();
    if (!splice->copied)
        return NO_MEMORY;
    ssize_t size = read(splice->out, splice->copied->data, splice->copied->capacity);
    if (size <= 0)
        return IO_ERROR;
    splice->begin = 0;
    splice->end = (size_t)size;
    return OK;
}

static enum status copy(
    struct stream *to, struct splice *splice, instant deadline, size_t *ret_done)
{
    enum status e = OK;
    while (!e && *ret_done < splice->size) {
        size_t size = 0;
        if (splice->begin == splice->end)
            e = take_out(splice);
        if (!e)
            e = stream_write(to, splice->copied->data + splice->begin, splice->end - splice->begin,
                deadline, &size);
        splice->begin += size;
        *ret_done += size;
    }
    return e;
}

enum status splice_write(
    struct stream *to, struct splice *splice, instant deadline, size_t *ret_size)
{
    size_t done = 0;
    enum status e = FULL;
    if (!splice->copied)
        e = to->ops->splice_out(to, splice->out, splice->size, deadline, &done);
    if (e == FULL)
        e = copy(to, splice, deadline, &done);
    splice->size -= done;
    if (splice->size == 0) {
        buffer_give(splice->copied);
        splice->copied = NULL;
    }
    if (ret_size)
        *ret_size = done;
    return e;
}
