/* Buffers for bytes on the move, from the loop's pool, most recently used first, so that a busy
 * loop keeps working in the same warm memory. Take one only when there are bytes to put into it,
 * give it back as soon as they are gone: whoever waits for a peer to speak holds none.
 *
 * A large one has 256 KiB, since bytes per system call decide what a body costs. When more than
 * loop_options.buffers_large_max are out, small ones of 16 KiB are lent, so that many slow peers
 * stay cheap. */
#pragma once

#include <stddef.h>

#define BUFFER_LARGE ((size_t)256 * 1024)
#define BUFFER_SMALL ((size_t)16 * 1024)

struct buffer {
    struct buffer *next; /* the pool's own */
    size_t capacity;     /* bytes in data */
    char data[];
};

/* Of the calling thread's loop; NULL when there is no memory. */
struct buffer *buffer_take(void);

/* A small one, for bytes that will have to be held for long. */
struct buffer *buffer_take_small(void);

/* Back to the loop it came from, which is the calling thread's. NULL is fine. */
void buffer_give(struct buffer *buffer);
