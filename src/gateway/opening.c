#include "gateway/opening.h"

#include "l4/opening.h"
#include "run/loop.h"
#include "run/socket.h"
#include "run/tls.h"

#define HANDSHAKE_RECORD 0x16 /* the first byte of TLS (RFC 8446 §5.1) */

/* What a client that speaks HTTP/2 begins with (RFC 9113 §3.4); no request of HTTP/1.1 does. */
#define PREFACE SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

/* The client's first bytes, unless they are here already. */
static enum status read_first(struct wire *wire, instant deadline)
{
    size_t size;
    if (wire_has_bytes(wire))
        return OK;
    enum status e = stream_wait_readable(wire->stream, deadline);
    if (e)
        return e;
    wire->buffer = buffer_take_small();
    if (!wire->buffer)
        return NO_MEMORY;
    e = stream_read(wire->stream, wire->buffer->data, wire->buffer->capacity, deadline, &size);
    wire->begin = 0;
    wire->end = e ? 0 : (uint32_t)size;
    return e;
}

/* A method begins with a capital letter. Whoever speaks plain HTTP here is told so by HTTP. */
static bool is_plain_http(const struct wire *wire)
{
    char first = wire->buffer->data[wire->begin];
    return first >= 'A' && first <= 'Z';
}

/* Puts TLS on the connection; what was read belongs to it. */
static enum status begin_tls(struct wire *wire, struct tls_server *tls)
{
    struct slice early = slice_of(wire->buffer->data + wire->begin, wire->end - wire->begin);
    struct stream *stream;
    enum status e = tls_accept(wire->stream, tls, early, &stream);
    if (e)
        return e;
    buffer_give(wire->buffer);
    wire_init(wire, stream);
    return OK;
}

static enum status handshake(
    struct connection *connection, struct tls_server *tls, instant deadline)
{
    enum status e = begin_tls(&connection->wire, tls);
    return e ? e : tls_handshake(connection->wire.stream, deadline);
}

/* Afterwards the stream speaks TLS, or it is plain and the request will be refused. */
static enum status open_tls(struct connection *connection)
{
    struct carrier *carrier = &connection->carrier;
    struct server *server = carrier->server;
    instant deadline = clock_after(loop_now(), server->ops->rules(server)->http->head_timeout);
    enum status e = read_first(&connection->wire, deadline);
    if (e) /* not one byte came: somebody only looked whether there is a door */
        return e;
    if (is_plain_http(&connection->wire))
        return OK;
    /* Asked for only now, since a reload while it was waited may have put another in its place. */
    struct tls_server *tls = server->ops->tls(server);
    e = tls ? handshake(connection, tls, deadline) : CLOSED;
    server->ops->handshaken(server, carrier->entrance, connection->wire.stream, e);
    return e;
}

static bool is_trusted(const struct network_list *trusted, const struct address *peer)
{
    for (size_t i = 0; i < trusted->count; i++)
        if (network_contains(&trusted->items[i], peer))
            return true;
    return false;
}

/* Reads a PROXY header from a peer who may speak for others: from then on the connection is the
 * client's. */
static enum status open_proxied(struct connection *connection)
{
    struct carrier *carrier = &connection->carrier;
    struct server *server = carrier->server;
    struct stream *stream = connection->wire.stream;
    const struct server_rules *rules = server->ops->rules(server);
    instant deadline = clock_after(loop_now(), rules->http->head_timeout);
    struct proxy_header header;
    enum status e = PEER_NOT_TRUSTED;
    if (is_trusted(rules->trusted, stream_peer(stream)))
        e = opening_read_proxy_header(stream, deadline, &header);
    if (!e && !header.is_local)
        e = socket_speak_for(stream, &header.source, &header.destination);
    if (e && e != CLIENT_CLOSED)
        server->ops->refused(server, carrier->entrance, stream, e);
    return e;
}

/* By ALPN where there is TLS; else by the client's first bytes, where that is allowed. */
static enum status choose_protocol(struct connection *connection)
{
    struct tls_facts facts;
    bool is_http_2 = false;
    connection->protocol = PROTOCOL_HTTP_1;
    if (tls_facts(connection->wire.stream, &facts)) {
        if (facts.is_challenge)
            return END;
        is_http_2 = slice_equal(facts.protocol, SLICE("h2"));
    } else if (connection->carrier.entrance->http2) {
        struct server *server = connection->carrier.server;
        int64_t patience = server->ops->rules(server)->http->head_timeout;
        enum status e = wire_begins_with(
            &connection->wire, PREFACE, clock_after(loop_now(), patience), &is_http_2);
        if (e)
            return e;
    }
    if (is_http_2)
        connection->protocol = PROTOCOL_HTTP_2;
    return OK;
}

enum status opening_run(struct connection *connection)
{
    const struct entrance *entrance = connection->carrier.entrance;
    enum status e = entrance->proxy_protocol ? open_proxied(connection) : OK;
    if (!e && entrance->is_tls)
        e = open_tls(connection);
    return e ? e : choose_protocol(connection);
}
