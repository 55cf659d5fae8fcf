/* By which listener a request comes in, for `weir explain`: with its TLS, and the forward proxy
 * that it may be. */
#pragma once

#include "base/json_writer.h"
#include "gateway/snapshot.h"

/* The first listener by which it can come in. As lines without a writer, else as members
 * "listener", "tls" and "forward_proxy". `host` in lower case. */
void explain_door(
    const struct snapshot *snapshot, struct slice host, bool is_secure, struct json_writer *writer);

/* Whether clients of forward proxies are let through to "host:port"; as lines. An exit code;
 * complains on stderr. */
int explain_tunnel(const struct snapshot *snapshot, struct slice authority);
