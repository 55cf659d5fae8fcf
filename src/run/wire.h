/* A wire: a stream, and what has been read of it and not used yet. Whoever finds out where a
 * message ends reads beyond that; what lies behind is the next reader's, be that another protocol.
 *
 * At most one buffer is held, and none while nothing is unread. Writing is the stream's own
 * business. One fiber reads at a time. */
#pragma once

#include "base/slice.h"
#include "run/buffer.h"
#include "run/stream.h"

struct wire {
    struct stream *stream; /* owned */
    struct buffer *buffer; /* owned, or NULL: nothing read ahead */
    uint32_t begin, end;   /* the unread bytes in the buffer */
};

void wire_init(struct wire *wire, struct stream *stream);

/* Gives the buffer back and closes the stream. */
void wire_release(struct wire *wire);

/* True when there is something unread. */
static inline bool wire_has_bytes(const struct wire *wire)
{
    return wire->begin != wire->end;
}

/* What is unread; until the next call that reads or gives back. */
static inline struct slice wire_unread(const struct wire *wire)
{
    if (!wire->buffer)
        return SLICE_NONE;
    return slice_of(wire->buffer->data + wire->begin, wire->end - wire->begin);
}

/* The first bytes of it are used; they may still be looked at. */
static inline void wire_consume(struct wire *wire, size_t size)
{
    wire->begin += (uint32_t)size;
}

/* Gives the buffer back when nothing unread is in it. What was read out of it is gone then. */
void wire_give_if_empty(struct wire *wire);

/* Both at once. */
void wire_skip(struct wire *wire, size_t size);

/* Adds to the unread bytes, waiting for them as long as it takes; the unread ones may move. While
 * it waits, few unread bytes are held in a small buffer and none in none. END, CLOSED, TIMEOUT,
 * CANCELLED, NO_MEMORY; OVERLOADED when the unread bytes fill the buffer and no larger one is to be
 * had. */
enum status wire_read_more(struct wire *wire, size_t most, instant deadline);

/* Adds what has arrived meanwhile to the unread bytes, which stay where they are. Waits for
 * nothing: TIMEOUT when nothing is there, or no room for it. Else as wire_read_more. */
enum status wire_read_arrived(struct wire *wire);

/* For whoever finds out which protocol is spoken. True in `*ret_begins` when the next bytes are
 * `text`; reads until that is known. They stay unread. Else as wire_read_more. */
enum status wire_begins_with(
    struct wire *wire, struct slice text, instant deadline, bool *ret_begins);
