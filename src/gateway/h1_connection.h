/* A client's connection that speaks HTTP/1.1 (or 1.0): one exchange after another on the
 * connection's own fiber. */
#pragma once

#include "gateway/connection.h"

/* Serves requests until the client has sent no more: true when the connection is idle and may be
 * parked, false when it is at its end. */
bool h1_connection_serve(struct connection *connection);
