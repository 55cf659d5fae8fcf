#include "http/h1_input.h"

#include "run/loop.h"

void h1_give_if_empty(struct h1_connection *connection)
{
    if (connection->begin != connection->end)
        return;
    buffer_give(connection->buffer);
    connection->buffer = NULL;
    connection->begin = connection->end = 0;
}

/* The unread bytes to the front of another buffer, if there is one and it has room for more. */
static enum status change_buffer(struct h1_connection *connection, struct buffer *buffer)
{
    struct slice unread = h1_unread(connection);
    if (!buffer)
        return NO_MEMORY;
    if (buffer->capacity <= unread.size) {
        buffer_give(buffer);
        return OVERLOADED;
    }
    if (unread.size)
        memcpy(buffer->data, unread.data, unread.size);
    buffer_give(connection->buffer);
    connection->buffer = buffer;
    connection->begin = 0;
    connection->end = (uint32_t)unread.size;
    return OK;
}

/* The unread bytes to the front, so that the room behind them is as large as can be. */
static void move_to_front(struct h1_connection *connection)
{
    struct slice unread = h1_unread(connection);
    if (connection->begin == 0)
        return;
    memmove(connection->buffer->data, unread.data, unread.size);
    connection->begin = 0;
    connection->end = (uint32_t)unread.size;
}

/* Whoever sends a little and then waits shall not hold a large buffer. */
static enum status hold_little(struct h1_connection *connection)
{
    struct slice unread = h1_unread(connection);
    if (unread.size >= BUFFER_SMALL || connection->buffer->capacity <= BUFFER_SMALL)
        return OK;
    return change_buffer(connection, buffer_take_small());
}

static enum status make_room(struct h1_connection *connection)
{
    if (!connection->buffer)
        return change_buffer(connection, buffer_take());
    move_to_front(connection);
    if (connection->end < connection->buffer->capacity)
        return OK;
    return change_buffer(connection, buffer_take());
}

static enum status read_into_room(struct h1_connection *connection, size_t most, instant deadline)
{
    struct buffer *buffer = connection->buffer;
    size_t size, room = buffer->capacity - connection->end;
    enum status e = stream_read(connection->stream, buffer->data + connection->end,
        room < most ? room : most, deadline, &size);
    if (e == OK)
        connection->end += (uint32_t)size;
    else
        h1_give_if_empty(connection);
    return e;
}

enum status h1_read_arrived(struct h1_connection *connection)
{
    enum status e = stream_wait_readable(connection->stream, loop_now());
    if (e)
        return e;
    if (!connection->buffer || connection->end == connection->buffer->capacity)
        return TIMEOUT;
    return read_into_room(connection, SIZE_MAX, loop_now());
}

enum status h1_read_more(struct h1_connection *connection, size_t most, instant deadline)
{
    h1_give_if_empty(connection);
    enum status e = connection->buffer ? hold_little(connection) : OK;
    if (e == OK)
        e = stream_wait_readable(connection->stream, deadline);
    if (e == OK)
        e = make_room(connection);
    return e ? e : read_into_room(connection, most, deadline);
}
