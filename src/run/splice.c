#include "run/splice.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "run/loop_core.h"

#define PIPE_SIZE (256 * 1024) /* an unprivileged user may have 64 MiB of pipes in all */
#define KEPT      16

struct splice {
    struct splice *next; /* the pool's own */
    int out, in;         /* the pipe's ends */
    size_t size;         /* bytes in it */
};

static void close_splice(struct splice *splice)
{
    close(splice->out);
    close(splice->in);
    free(splice);
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
    /* A pipe that stays small is slow, not wrong: all of it is gone before it is filled again. */
    (void)fcntl(splice->in, F_SETPIPE_SZ, PIPE_SIZE);
    return splice;
}

static struct splice *take(struct splices *pool)
{
    struct splice *splice = pool->first;
    if (pool->lent >= SPLICES_MAX)
        return NULL;
    if (splice) {
        pool->first = splice->next;
        pool->free--;
    } else {
        splice = open_splice();
    }
    if (splice)
        pool->lent++;
    return splice;
}

void splice_give(struct splice *splice)
{
    struct splices *pool = &loop_here->splices;
    if (!splice)
        return;
    must(pool->lent > 0);
    pool->lent--;
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

enum status splice_write(
    struct stream *to, struct splice *splice, instant deadline, size_t *ret_size)
{
    size_t done = 0;
    enum status e = to->ops->splice_out(to, splice->out, splice->size, deadline, &done);
    splice->size -= done;
    if (ret_size)
        *ret_size = done;
    return e;
}
