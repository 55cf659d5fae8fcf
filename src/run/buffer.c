#include "run/buffer.h"

#include <stdlib.h>

#include "base/must.h"
#include "run/loop_core.h"

/* Free ones that are kept; what comes back above that is freed. */
#define LARGE_KEPT 16
#define SMALL_KEPT 64

static struct buffer *take(struct buffer **pool, unsigned *free_count, size_t capacity)
{
    struct buffers *buffers = &loop_here->buffers;
    struct buffer *buffer = *pool;
    if (buffer) {
        *pool = buffer->next;
        --*free_count;
    } else {
        buffer = malloc(sizeof *buffer + capacity);
        if (!buffer)
            return NULL;
        buffer->capacity = capacity;
    }
    buffers->lent++;
    atomic_store_explicit(&loop_here->tally.buffers_lent, buffers->lent, memory_order_relaxed);
    return buffer;
}

struct buffer *buffer_take(void)
{
    struct buffers *buffers = &loop_here->buffers;
    if (buffers->large_lent >= buffers->large_max)
        return buffer_take_small();
    struct buffer *buffer = take(&buffers->large, &buffers->large_free, BUFFER_LARGE);
    if (buffer)
        buffers->large_lent++;
    return buffer;
}

struct buffer *buffer_take_small(void)
{
    struct buffers *buffers = &loop_here->buffers;
    return take(&buffers->small, &buffers->small_free, BUFFER_SMALL);
}

static void give(struct buffer **pool, unsigned *free_count, unsigned kept, struct buffer *buffer)
{
    if (*free_count >= kept) {
        free(buffer);
        return;
    }
    buffer->next = *pool;
    *pool = buffer;
    ++*free_count;
}

void buffer_give(struct buffer *buffer)
{
    if (!buffer)
        return;
    struct buffers *buffers = &loop_here->buffers;
    must(buffers->lent > 0);
    buffers->lent--;
    atomic_store_explicit(&loop_here->tally.buffers_lent, buffers->lent, memory_order_relaxed);
    if (buffer->capacity == BUFFER_LARGE) {
        buffers->large_lent--;
        give(&buffers->large, &buffers->large_free, LARGE_KEPT, buffer);
    } else {
        give(&buffers->small, &buffers->small_free, SMALL_KEPT, buffer);
    }
}

static void free_all(struct buffer *buffer)
{
    while (buffer) {
        struct buffer *next = buffer->next;
        free(buffer);
        buffer = next;
    }
}

void buffers_release(struct buffers *buffers)
{
    free_all(buffers->large);
    free_all(buffers->small);
    *buffers = (struct buffers){0};
}
