#include "gateway/server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/connection.h"
#include "run/loop.h"
#include "run/socket.h"

#define LEAVE_EACH (10 * MILLISECOND) /* of what has no end by itself, at most */

const struct network_list server_trusts_nobody = {NULL, 0};

const struct server_rules *server_rules_fixed(struct server *server)
{
    return server->ops->fixed_rules;
}

const struct server_rules *server_begin_fixed(struct server *server, struct exchange *x)
{
    (void)x;
    return server->ops->fixed_rules;
}

void server_forget(struct server *server, struct exchange *x)
{
    (void)server;
    (void)x;
}

void server_forget_closed(struct server *server)
{
    (void)server;
}

void server_init(struct server *server, const struct server_ops *ops, unsigned worker)
{
    *server = (struct server){.ops = ops, .worker = worker, .date_second = -1};
    list_init(&server->connections);
}

static bool is_full(struct server *server)
{
    int64_t most = server->ops->rules(server)->http->connections_max;
    return most && server->connection_count >= (uint64_t)most;
}

/* Too many connections: the one new one is told so in the plainest way, without a fiber. */
static void refuse(struct server *server, int descriptor)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Content-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
    atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
    ssize_t ignored = send(descriptor, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
    close(descriptor);
    server->ops->closed(server);
}

void server_accept(struct server *server, int descriptor, const struct address *peer,
    const struct entrance *entrance)
{
    if (is_full(server)) {
        refuse(server, descriptor);
        return;
    }
    struct stream *stream;
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        refuse(server, descriptor);
        return;
    }
    if (socket_adopt(descriptor, peer, &stream)) {
        free(connection);
        server->ops->closed(server);
        return;
    }
    wire_init(&connection->wire, stream);
    connection->carrier.server = server;
    connection->carrier.entrance = entrance;
    list_push_front(&server->connections, &connection->node);
    server->connection_count++;
    connection_begin(connection);
}

/* Once: a stop may follow an upgrade. */
static void begin_to_drain(struct server *server, int64_t spread)
{
    int64_t most = (int64_t)server->exchange_count * LEAVE_EACH;
    if (server->is_draining)
        return;
    server->is_draining = true;
    server->draining_since = loop_now();
    server->leaving_time = spread < most ? spread : most;
}

void server_drain(struct server *server, instant grace, int64_t spread)
{
    begin_to_drain(server, spread);
    list_each (node, &server->connections)
        connection_drain(list_entry(node, struct connection, node), grace);
}

static void drain_http2(struct server *server, const struct entrance *entrance)
{
    list_each (node, &server->connections) {
        struct connection *connection = list_entry(node, struct connection, node);
        if (connection->h2 && (!entrance || connection->carrier.entrance == entrance))
            connection_drain(connection, NEVER);
    }
}

void server_leave(struct server *server, const struct entrance *entrance)
{
    drain_http2(server, entrance);
}

void server_drain_patiently(struct server *server, int64_t spread)
{
    begin_to_drain(server, spread);
    list_each (node, &server->connections)
        serving_drain(&list_entry(node, struct connection, node)->carrier);
    drain_http2(server, NULL);
}

void server_cut(struct server *server)
{
    list_each (node, &server->connections)
        connection_cut(list_entry(node, struct connection, node));
}
