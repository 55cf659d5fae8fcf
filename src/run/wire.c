#include "run/wire.h"

#include "run/loop.h"

#define OPENING_READ ((size_t)64 * 1024) /* bytes at a time, of who has just begun to speak */

void wire_init(struct wire *wire, struct stream *stream)
{
    *wire = (struct wire){.stream = stream};
}

void wire_release(struct wire *wire)
{
    buffer_give(wire->buffer);
    wire->buffer = NULL;
    wire->begin = wire->end = 0;
    stream_close(wire->stream);
    wire->stream = NULL;
}

void wire_give_if_empty(struct wire *wire)
{
    if (wire->begin != wire->end)
        return;
    buffer_give(wire->buffer);
    wire->buffer = NULL;
    wire->begin = wire->end = 0;
}

void wire_skip(struct wire *wire, size_t size)
{
    wire_consume(wire, size);
    wire_give_if_empty(wire);
}

/* The unread bytes to the front of another buffer, if there is one and it has room for more. */
static enum status change_buffer(struct wire *wire, struct buffer *buffer)
{
    struct slice unread = wire_unread(wire);
    if (!buffer)
        return NO_MEMORY;
    if (buffer->capacity <= unread.size) {
        buffer_give(buffer);
        return OVERLOADED;
    }
    if (unread.size)
        memcpy(buffer->data, unread.data, unread.size);
    buffer_give(wire->buffer);
    wire->buffer = buffer;
    wire->begin = 0;
    wire->end = (uint32_t)unread.size;
    return OK;
}

/* The unread bytes to the front, so that the room behind them is as large as can be. */
static void move_to_front(struct wire *wire)
{
    struct slice unread = wire_unread(wire);
    if (wire->begin == 0)
        return;
    memmove(wire->buffer->data, unread.data, unread.size);
    wire->begin = 0;
    wire->end = (uint32_t)unread.size;
}

/* Whoever sends a little and then waits shall not hold a large buffer. */
static enum status hold_little(struct wire *wire)
{
    struct slice unread = wire_unread(wire);
    if (unread.size >= BUFFER_SMALL || wire->buffer->capacity <= BUFFER_SMALL)
        return OK;
    return change_buffer(wire, buffer_take_small());
}

static enum status make_room(struct wire *wire)
{
    if (!wire->buffer)
        return change_buffer(wire, buffer_take());
    move_to_front(wire);
    if (wire->end < wire->buffer->capacity)
        return OK;
    return change_buffer(wire, buffer_take());
}

static enum status read_into_room(struct wire *wire, size_t most, instant deadline)
{
    struct buffer *buffer = wire->buffer;
    size_t size, room = buffer->capacity - wire->end;
    enum status e = stream_read(
        wire->stream, buffer->data + wire->end, room < most ? room : most, deadline, &size);
    if (e == OK)
        wire->end += (uint32_t)size;
    else
        wire_give_if_empty(wire);
    return e;
}

enum status wire_read_arrived(struct wire *wire)
{
    enum status e = stream_wait_readable(wire->stream, loop_now());
    if (e)
        return e;
    if (!wire->buffer || wire->end == wire->buffer->capacity)
        return TIMEOUT;
    return read_into_room(wire, SIZE_MAX, loop_now());
}

enum status wire_read_more(struct wire *wire, size_t most, instant deadline)
{
    wire_give_if_empty(wire);
    enum status e = wire->buffer ? hold_little(wire) : OK;
    if (e == OK)
        e = stream_wait_readable(wire->stream, deadline);
    if (e == OK)
        e = make_room(wire);
    return e ? e : read_into_room(wire, most, deadline);
}

enum status wire_begins_with(
    struct wire *wire, struct slice text, instant deadline, bool *ret_begins)
{
    for (;;) {
        struct slice bytes = slice_head(wire_unread(wire), text.size);
        bool is_same = slice_has_prefix(text, bytes);
        if (bytes.size == text.size || !is_same) {
            *ret_begins = is_same;
            return OK;
        }
        enum status e = wire_read_more(wire, OPENING_READ, deadline);
        if (e)
            return e;
    }
}
