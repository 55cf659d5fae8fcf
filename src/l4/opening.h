/* What may come first on a connection, before the protocol that it is for: a PROXY header, a TLS
 * ClientHello that is only looked at. On the connection's fiber. */
#pragma once

#include "base/text.h"
#include "l4/client_hello.h"
#include "run/proxy_header.h"
#include "run/stream.h"

/* Reads a PROXY header and nothing behind it. Only from a peer who may speak so. BAD_PROXY_HEADER
 * (also when the peer sends nothing else), OPENING_TIMEOUT, CLIENT_CLOSED (nothing came at all),
 * CANCELLED. */
enum status opening_read_proxy_header(
    struct stream *stream, instant deadline, struct proxy_header *ret_header);

/* Reads until a ClientHello is whole. All that was read is in `early`, which the caller made
 * growing and releases: it is the beginning of what goes on. BAD_CLIENT_HELLO, OPENING_TIMEOUT,
 * CLIENT_CLOSED, CANCELLED, NO_MEMORY. */
enum status opening_read_client_hello(
    struct stream *stream, instant deadline, struct text *early, struct client_hello *ret_hello);
