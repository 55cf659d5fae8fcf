/* The unread bytes of a connection and how more are got. Of this floor alone. */
#pragma once

#include "http/h1.h"

static inline struct slice h1_unread(const struct h1_connection *connection)
{
    if (!connection->buffer)
        return SLICE_NONE;
    return slice_of(
        connection->buffer->data + connection->begin, connection->end - connection->begin);
}

static inline void h1_consume(struct h1_connection *connection, size_t size)
{
    connection->begin += (uint32_t)size;
}

/* Gives the buffer back when nothing unread is in it. What was read out of it is gone then. */
void h1_give_if_empty(struct h1_connection *connection);

/* Adds to the unread bytes, waiting for them as long as it takes; the unread ones may move. While
 * it waits, few unread bytes are held in a small buffer and none in none. END, CLOSED, TIMEOUT,
 * CANCELLED, NO_MEMORY; OVERLOADED when the unread bytes fill the buffer and no larger one is to be
 * had. */
enum status h1_read_more(struct h1_connection *connection, size_t most, instant deadline);

/* Adds what has arrived meanwhile to the unread bytes, which stay where they are. Waits for
 * nothing: TIMEOUT when nothing is there, or no room for it. Else as h1_read_more. */
enum status h1_read_arrived(struct h1_connection *connection);
