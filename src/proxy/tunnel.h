/* What CONNECT makes of an exchange: bytes between its client and a target, both ways, until both
 * have ended (half-close is kept), one breaks off, or both have been silent for too long. A drain
 * lets it go on to the drain's end: nobody can be told to come back. */
#pragma once

#include "proxy/proxy.h"
#include "run/stream.h"

/* Takes over the stream, also on failure, and one of the proxy's connections (proxy_enter), if it
 * does not fail. NO_MEMORY. */
enum status proxy_tunnel_new(const struct proxy *proxy, struct exchange *x, struct stream *upstream,
    struct tunnel **ret_tunnel);
