/* The opening: what a client's connection begins with, before its first request, on the
 * connection's fiber. It ends with the decision which protocol the connection speaks. */
#pragma once

#include "gateway/connection.h"

/* Sets connection->protocol. After a failure the connection is to be closed. */
enum status opening_run(struct connection *connection);
