#include "gateway/connection.h"

#include <stdlib.h>

#include "gateway/h1_connection.h"
#include "gateway/h2_connection.h"
#include "gateway/opening.h"
#include "run/loop.h"

#define LINGER_TIME (30 * SECOND) /* in all, for what a client goes on sending after its answer */
#define LINGER_IDLE (2 * SECOND)  /* without a byte of it */
#define SHORT_TIME  (1 * SECOND)  /* in all, for one of whom nothing good is to be expected ... */
#define SHORT_BYTES ((size_t)256 * 1024) /* ... and how much it may go on sending */

static void run_connection(void *argument);

static void free_connection(struct connection *connection)
{
    struct server *server = connection->carrier.server;
    timer_cancel(&connection->timer);
    h2_connection_release(connection);
    if (connection->is_short) { /* the client must not take what it got for the whole */
        stream_break_off(connection->wire.stream);
        connection->wire.stream = NULL;
    }
    wire_release(&connection->wire);
    list_remove(&connection->node);
    server->connection_count--;
    free(connection);
    server->ops->closed(server);
}

static void close_parked(struct connection *connection)
{
    stream_unpark(connection->wire.stream);
    free_connection(connection);
}

void connection_cut(struct connection *connection)
{
    connection->is_cut = true;
    if (!connection->is_awake)
        close_parked(connection);
    else if (connection->carrier.tunnel)
        connection->carrier.tunnel->ops->cut(connection->carrier.tunnel);
    else if (connection->carrier.fiber)
        fiber_cancel(connection->carrier.fiber);
}

/* A parked connection has something to do. */
static void wake(struct connection *connection)
{
    timer_cancel(&connection->timer);
    connection->is_awake = true;
    if (scope_start(loop_scope(loop_current()), run_connection, connection))
        free_connection(connection);
}

/* It has bytes to read, or its peer has gone. */
static void awake(void *argument)
{
    wake(argument);
}

/* What has come at the last moment, and is about to be dealt with, still counts. A client that
 * speaks HTTP/2 is told. */
static void idle_too_long(struct timer *timer)
{
    struct connection *connection = list_entry(timer, struct connection, timer);
    if (!stream_is_quiet(connection->wire.stream))
        return;
    if (!connection->h2) {
        close_parked(connection);
        return;
    }
    connection->is_idle_too_long = true;
    stream_unpark(connection->wire.stream);
    wake(connection);
}

static void park(struct connection *connection)
{
    connection->carrier.fiber = NULL;
    connection->is_awake = false;
    stream_park(connection->wire.stream, awake, connection);
    timer_set(&connection->timer, connection->idle_until);
}

void connection_rest(struct connection *connection)
{
    const struct http_options *http =
        connection->carrier.server->ops->rules(connection->carrier.server)->http;
    connection->idle_until = clock_after(loop_now(), http->keep_alive);
}

void connection_begin(struct connection *connection)
{
    timer_init(&connection->timer, idle_too_long);
    connection_rest(connection);
    park(connection);
}

void connection_linger(struct connection *connection, bool is_short)
{
    struct wire *wire = &connection->wire;
    instant end = loop_now() + (is_short ? SHORT_TIME : LINGER_TIME);
    size_t size = 0, most = is_short ? SHORT_BYTES : SIZE_MAX;
    if (stream_shutdown(wire->stream))
        return;
    for (size_t seen = 0; seen < most; seen += size) {
        instant deadline = clock_sooner(end, loop_now() + LINGER_IDLE);
        if (stream_wait_readable(wire->stream, deadline))
            return;
        struct buffer *waste = buffer_take_small();
        if (!waste)
            return;
        enum status e = stream_read(wire->stream, waste->data, waste->capacity, deadline, &size);
        buffer_give(waste);
        if (e)
            return;
    }
}

static enum served serve(struct connection *connection)
{
    if (connection->protocol == PROTOCOL_UNDECIDED) {
        if (opening_run(connection))
            return SERVED_LAST;
        connection_rest(connection);
        if (!wire_has_bytes(&connection->wire) && stream_is_quiet(connection->wire.stream))
            return SERVED_ALL; /* a handshake was all that came */
    }
    if (connection->protocol == PROTOCOL_HTTP_2)
        return h2_connection_serve(connection) ? SERVED_ALL : SERVED_LAST;
    enum served served = h1_connection_serve(connection);
    if (served == SERVED_ALL)
        connection_rest(connection);
    return served;
}

/* The fiber of a connection that has something to read. It ends when the connection is idle again,
 * or at its end. */
static void run_connection(void *argument)
{
    struct connection *connection = argument;
    connection->carrier.fiber = fiber_current();
    if (connection->is_cut)
        fiber_cancel(connection->carrier.fiber);
    enum served served = serve(connection);
    if (served == SERVED_TUNNEL)
        return;
    if (served == SERVED_ALL && !connection->carrier.server->is_draining)
        park(connection);
    else
        free_connection(connection);
}

void connection_tunnel_ended(struct carrier *carrier)
{
    struct connection *connection = (struct connection *)carrier; /* its first part */
    connection->is_short = carrier->is_torn;
    free_connection(connection);
}

void connection_drain(struct connection *connection, instant grace)
{
    connection->is_unwanted = true;
    if (connection->carrier.server->is_draining)
        serving_drain(&connection->carrier);
    if (connection->is_awake) {
        h2_connection_drain(connection);
    } else if (connection->h2) {
        stream_unpark(connection->wire.stream);
        wake(connection);
    } else if (connection->requests && stream_is_quiet(connection->wire.stream)) {
        close_parked(connection);
    } else {
        timer_set(&connection->timer, grace);
    }
}
