#include "gateway/connection.h"

#include <stdlib.h>

#include "gateway/h1_connection.h"
#include "gateway/opening.h"
#include "run/loop.h"

static void run_connection(void *argument);

static void free_connection(struct connection *connection)
{
    struct server *server = connection->carrier.server;
    timer_cancel(&connection->timer);
    h1_release(&connection->h1);
    list_remove(&connection->node);
    server->connection_count--;
    free(connection);
    server->ops->closed(server);
}

void connection_close(struct connection *connection)
{
    stream_unpark(connection->h1.stream);
    free_connection(connection);
}

/* A parked connection has bytes to read, or its peer has gone. */
static void awake(void *argument)
{
    struct connection *connection = argument;
    timer_cancel(&connection->timer);
    if (scope_start(loop_scope(loop_current()), run_connection, connection))
        free_connection(connection);
}

/* What has come at the last moment, and is about to be dealt with, still counts. */
static void idle_too_long(struct timer *timer)
{
    struct connection *connection = list_entry(timer, struct connection, timer);
    if (stream_is_quiet(connection->h1.stream))
        connection_close(connection);
}

static void park(struct connection *connection)
{
    const struct http_options *http =
        connection->carrier.server->ops->rules(connection->carrier.server)->http;
    connection->carrier.fiber = NULL;
    stream_park(connection->h1.stream, awake, connection);
    timer_set(&connection->timer, clock_after(loop_now(), http->keep_alive));
}

void connection_begin(struct connection *connection)
{
    timer_init(&connection->timer, idle_too_long);
    park(connection);
}

static bool serve(struct connection *connection)
{
    if (connection->protocol == PROTOCOL_UNDECIDED) {
        if (opening_run(connection))
            return false;
        if (!h1_has_bytes(&connection->h1) && stream_is_quiet(connection->h1.stream))
            return true; /* a handshake was all that came */
    }
    return h1_connection_serve(connection);
}

/* The fiber of a connection that has something to read. It ends when the connection is idle again,
 * or at its end. */
static void run_connection(void *argument)
{
    struct connection *connection = argument;
    connection->carrier.fiber = fiber_current();
    if (serve(connection) && !connection->carrier.server->is_draining)
        park(connection);
    else
        free_connection(connection);
}
