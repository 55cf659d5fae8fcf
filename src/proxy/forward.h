/* A request to a target by plain HTTP/1.1, on a connection of its own: what it says goes on as it
 * is, but for what means one connection only, and so does the answer. */
#pragma once

#include "proxy/proxy.h"
#include "run/stream.h"

/* Sends x->request and puts the answer's head into the exchange, its body not yet read. Takes over
 * the stream and one of the proxy's connections (proxy_enter), also on failure; they end with the
 * answer's body. The statuses of UPSTREAM_…, REQUEST_TIMEOUT, CLIENT_CLOSED, NO_MEMORY, CANCELLED.
 */
enum status proxy_forward(const struct proxy *proxy, struct exchange *x, struct stream *upstream);
