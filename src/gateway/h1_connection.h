/* A client's connection that speaks HTTP/1.1 (or 1.0): one exchange after another on the
 * connection's own fiber. */
#pragma once

#include "gateway/connection.h"

/* Serves requests until the client has sent no more. */
enum served h1_connection_serve(struct connection *connection);
