/* A client's connection that speaks HTTP/2 (RFC 9113, by nghttp2): many exchanges at once, each a
 * stream of the connection, on a fiber of its own.
 *
 *     h2_connection   reads frames on the connection's fiber; beginning, parking, goodbye
 *     h2_events       what nghttp2 tells of what came, and the floods that it may be
 *     h2_stream       one exchange: its life, and its answer on the way
 *     h2_body         the body of a request; its consumer's pace opens the window
 *     h2_output       frames are gathered and leave in few system calls
 *
 * Without streams the connection is parked as one of HTTP/1.1 is, and has no buffer; nghttp2's own
 * state, some 20 KB of which a third is ever touched, stays. */
#pragma once

#include "gateway/connection.h"

/* Serves until there are no streams and nothing to read: true when the connection may be parked,
 * false when it is at its end. */
bool h2_connection_serve(struct connection *connection);

/* Asks the client to go elsewhere: the requests under way are answered, and those that it sends
 * before it hears of that (GOAWAY, RFC 9113 §6.8); then the connection ends. Outside of the
 * connection's fiber; it must not be parked. */
void h2_connection_drain(struct connection *connection);

/* Frees what is the protocol's. The connection is not being served. */
void h2_connection_release(struct connection *connection);
