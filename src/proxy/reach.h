/* From a target to a connection. */
#pragma once

#include "proxy/proxy.h"
#include "run/stream.h"

/* Looks at the list, resolves the name, and connects to the first of its addresses that may be
 * reached and can be. Notes address and time in x->facts. On a fiber. TARGET_DENIED,
 * TARGET_ADDRESS_DENIED, the UPSTREAM_… statuses of connecting, OVERLOADED (no descriptors),
 * NO_MEMORY, CANCELLED. */
enum status proxy_reach(const struct proxy *proxy, struct exchange *x,
    const struct proxy_target *target, struct stream **ret_stream);
